// node scripts/run.js ARGS…: sets up what is missing, then becomes the command-line program.
const Module = require('node:module');
const path = require('node:path');
const { ensureAll } = require('./lib/ensure.js');
const { runMain } = require('./lib/setup-error.js');
const { dist } = require('./lib/paths.js');

runMain(() => {
  ensureAll();
  // In this process, so that the terminal, signals and the exit code are the program's own.
  process.argv[1] = path.join(dist, 'lib', 'cli', 'main.js');
  Module.runMain(process.argv[1]);
});
