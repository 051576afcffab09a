// npm run measure -- loop|abort|leak …: what a program notices that embeds the library; gpu …: a GPU beside the CPU
// (docs/benchmarks.md). Measures dist/, made here where it is not current.
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { ensureAll } = require('./lib/ensure.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

const [what, ...args] = process.argv.slice(2);
const MEASURES = ['loop', 'abort', 'leak', 'gpu'];

runMain(() => {
  if (!MEASURES.includes(what)) {
    throw new SetupError(`'${what}' is no measure`, `choose ${MEASURES.join(', ')}`);
  }
  ensureAll();
  const script = path.join(__dirname, 'measure', `${what}.js`);
  const { status } = spawnSync(process.execPath, ['--expose-gc', script, ...args], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
});
