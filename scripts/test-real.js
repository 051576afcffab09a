// npm run test:real: the tests against a real model and live oracles (test/real). With arguments only those patterns;
// --fetch: what they need is fetched, and none is run.
const { ensureAll } = require('./lib/ensure.js');
const { oraclesOf, runRealTests } = require('./lib/real-tests.js');
const { runMain } = require('./lib/setup-error.js');
const { close } = require('./lib/tally.js');

runMain(async () => {
  if (process.argv[2] === '--fetch') return void oraclesOf();
  ensureAll();
  close(await runRealTests(process.argv.slice(2)));
});
