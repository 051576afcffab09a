// What goes wrong on a user's machine: what is missing, and the command that mends it.
class SetupError extends Error {
  constructor(message, mend, output = '') {
    super(message);
    this.mend = mend;
    this.output = output;
  }
}

/** Runs a script's main function; a SetupError becomes a short message and exit code 1. */
function runMain(main) {
  Promise.resolve()
    .then(main)
    .catch((error) => {
      if (!(error instanceof SetupError)) throw error;
      if (error.output) process.stderr.write(`${error.output.trimEnd()}\n`);
      process.stderr.write(`\nerror: ${error.message}\n`);
      if (error.mend) process.stderr.write(`mend:  ${error.mend}\n`);
      process.exitCode = 1;
    });
}

module.exports = { SetupError, runMain };
