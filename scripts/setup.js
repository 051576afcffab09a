// npm run setup: npm packages, native dependencies, the build. Quick when everything is there.
// With --dependencies only the wheels that STRUPRUNE_BLAS and STRUPRUNE_ONEDNN name (CMake calls this).
const { ensureAll } = require('./lib/ensure.js');
const { withLock } = require('./lib/lock.js');
const { ensureDependencies } = require('./lib/native.js');
const { runMain } = require('./lib/setup-error.js');

const dependenciesOnly = process.argv.includes('--dependencies');
runMain(dependenciesOnly ? () => withLock(() => ensureDependencies()) : () => ensureAll());
