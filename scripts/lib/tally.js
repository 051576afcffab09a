// Counts of tests, and the closing line that CI and people read.

const none = () => ({ passed: 0, failed: 0, skipped: 0 });

function add(...tallies) {
  return tallies.reduce(
    (sum, tally) => ({
      passed: sum.passed + tally.passed,
      failed: sum.failed + tally.failed,
      skipped: sum.skipped + tally.skipped,
    }),
    none(),
  );
}

/** A check that is one test: a lint, a type check. */
function single(succeeded) {
  return { ...none(), [succeeded ? 'passed' : 'failed']: 1 };
}

/** Prints `N passed, N failed` as the last line and sets the exit code; nothing run is a failure. */
function close(tally) {
  const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : '';
  console.log(`${tally.passed} passed, ${tally.failed} failed${skipped}`);
  process.exitCode = tally.failed > 0 || tally.passed === 0 ? 1 : 0;
}

module.exports = { none, add, single, close };
