// npm run test:real: the tests against a real model and live oracles (test/real). With arguments only those patterns.
const { ensureAll } = require('./lib/ensure.js');
const { runRealTests } = require('./lib/real-tests.js');
const { runMain } = require('./lib/setup-error.js');
const { close } = require('./lib/tally.js');

runMain(async () => {
  ensureAll();
  close(await runRealTests(process.argv.slice(2)));
});
