// npm run measure -- loop|abort|leak …: what a program notices that embeds the library; gpu …: a GPU beside the CPU
// (docs/benchmarks.md). Measures dist/, made here where it is not current. house: how the code is built, from its sources
// alone; same-bytes REF: whether it writes what another version of it writes; effort: what a prune takes, by its plan;
// layers: a graph of so many; web: graphs in onnxruntime-web; tables: those of README and docs, from docs/measured.
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { ensureAll } = require('./lib/ensure.js');
const { ensureModules } = require('./lib/npm.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

const [what, ...args] = process.argv.slice(2);
/** What must be there for each. */
const MEASURES = {
  loop: ensureAll,
  abort: ensureAll,
  leak: ensureAll,
  effort: ensureAll,
  layers: ensureAll,
  gpu: ensureAll,
  link: ensureAll,
  web: ensureAll,
  house: ensureModules,
  tables: () => {},
  'same-bytes': ensureAll,
};

runMain(() => {
  if (!Object.hasOwn(MEASURES, what)) {
    const names = Object.keys(MEASURES).join(', ');
    throw new SetupError(`'${what}' is no measure`, `choose ${names}`);
  }
  MEASURES[what]();
  // Ctrl-C reaches the measure as well; its end then clears away what it made.
  process.on('SIGINT', () => {});
  const script = path.join(__dirname, 'measure', `${what}.js`);
  const { status } = spawnSync(process.execPath, ['--expose-gc', script, ...args], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
});
