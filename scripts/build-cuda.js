// npm run build:cuda: build/Release/struprune_cuda.so, with code for every supported GPU, and the self-test
// beside it (where GoogleTest is installed). `-- 90` or `-- 86,120` builds for those architectures alone; an nvcc older than
// 12.8 knows fewer.
const path = require('node:path');
const { defaultTargets, ensureNvcc, knownTo } = require('./lib/cuda.js');
const { ensureAll } = require('./lib/ensure.js');
const { withLock } = require('./lib/lock.js');
const { buildOptions, cmakeBuild } = require('./lib/native.js');
const { hasGoogleTest } = require('./lib/native-tests.js');
const { output, root } = require('./lib/paths.js');
const { say } = require('./lib/process.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

const [targets] = process.argv.slice(2);

/** The architectures that were asked for. */
function asked() {
  if (targets === undefined) return defaultTargets();
  if (!/^\d{1,2}\.?\d(,\d{1,2}\.?\d)*$/.test(targets)) {
    throw new SetupError(`'${targets}' is no list of architectures`, 'for example: 86,90');
  }
  const all = targets.split(',').map((target) => target.replace('.', ''));
  const old = all.filter((target) => Number(target) < 80).map((target) => `sm_${target}`);
  if (old.length === 0) return all;
  throw new SetupError(
    `the kernels need compute capability 8.0 or newer, and not ${old.join(', ')}`,
    'for example: 86,90',
  );
}

function options(nvcc, wanted) {
  const made = knownTo(nvcc, wanted);
  const unknown = wanted.filter((target) => !made.includes(target)).map((target) => `sm_${target}`);
  if (made.length === 0 || (targets !== undefined && unknown.length > 0)) {
    throw new SetupError(`${nvcc} makes no code for ${unknown.join(', ')}`, 'use a newer one');
  }
  if (unknown.length > 0)
    say(`${nvcc} is too old for ${unknown.join(', ')}: without code for them`);
  // The default is CMake's own.
  const isDefault = targets === undefined && unknown.length === 0;
  return {
    ...buildOptions(),
    STRUPRUNE_CUDA: 'ON',
    STRUPRUNE_CUDA_TARGETS: isDefault ? undefined : made.join(';'),
  };
}

runMain(() => {
  const wanted = asked();
  ensureAll({ addonOnly: true });
  withLock(() => {
    const nvcc = ensureNvcc();
    const chosen = options(nvcc, wanted);
    say(`building the CUDA library with ${path.relative(root, nvcc)}`);
    cmakeBuild('cmake', 'struprune_cuda', chosen, { CUDACXX: nvcc });
    if (hasGoogleTest()) cmakeBuild('cmake', 'struprune_selftest', chosen, { CUDACXX: nvcc });
    else say('no self-test without GoogleTest (Debian: apt-get install libgtest-dev)');
    say(`${path.relative(root, output)}/struprune_cuda.so`);
  });
});
