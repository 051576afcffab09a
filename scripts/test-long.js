// npm run test:long: what takes too long for .ci/run. A test that has more to do then asks for STRUPRUNE_LONG=1: the files
// that name it run, those of test/real with their oracles.
const fs = require('node:fs');
const path = require('node:path');
const { runAva } = require('./lib/ava.js');
const { ensureAll } = require('./lib/ensure.js');
const { at, root } = require('./lib/paths.js');
const { runRealTests } = require('./lib/real-tests.js');
const { runMain } = require('./lib/setup-error.js');
const { filesUnder } = require('./lib/stamp.js');
const { add, close, none } = require('./lib/tally.js');

const SWITCH = 'STRUPRUNE_LONG';

runMain(async () => {
  process.env[SWITCH] = '1';
  ensureAll();
  const files = filesUnder(at('test'), (file) => file.endsWith('.test.ts'))
    .filter((file) => fs.readFileSync(file, 'utf8').includes(SWITCH))
    .map((file) => path.relative(root, file));
  const isReal = (file) => file.startsWith(path.join('test', 'real'));
  // ava takes no files for all of them.
  const some = (run, chosen) => (chosen.length > 0 ? run(chosen) : none());
  const others = await some(
    runAva,
    files.filter((file) => !isReal(file)),
  );
  const real = await some(runRealTests, files.filter(isReal));
  close(add(others, real));
});
