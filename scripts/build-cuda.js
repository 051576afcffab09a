// npm run build:cuda: build/Release/struprune_cuda.so, with code for every supported GPU, and the self-test
// beside it (where GoogleTest is installed). `-- 90` or `-- 86,120` builds for those architectures alone.
const path = require('node:path');
const { ensureNvcc } = require('./lib/cuda.js');
const { ensureAll } = require('./lib/ensure.js');
const { withLock } = require('./lib/lock.js');
const { buildOptions, cmakeBuild } = require('./lib/native.js');
const { hasGoogleTest } = require('./lib/native-tests.js');
const { output, root } = require('./lib/paths.js');
const { say } = require('./lib/process.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

const [targets] = process.argv.slice(2);

function options() {
  const all = { ...buildOptions(), STRUPRUNE_CUDA: 'ON', STRUPRUNE_CUDA_TARGETS: undefined };
  if (targets === undefined) return all;
  if (!/^\d{2,3}(,\d{2,3})*$/.test(targets)) {
    throw new SetupError(`'${targets}' is no list of architectures`, 'for example: 86,90');
  }
  return { ...all, STRUPRUNE_CUDA_TARGETS: targets.replaceAll(',', ';') };
}

runMain(() => {
  const chosen = options();
  ensureAll({ addonOnly: true });
  withLock(() => {
    const nvcc = ensureNvcc();
    say(`building the CUDA library with ${path.relative(root, nvcc)}`);
    cmakeBuild('cmake', 'struprune_cuda', chosen, { CUDACXX: nvcc });
    if (hasGoogleTest()) cmakeBuild('cmake', 'struprune_selftest', chosen, { CUDACXX: nvcc });
    else say('no self-test without GoogleTest (Debian: apt-get install libgtest-dev)');
    say(`${path.relative(root, output)}/struprune_cuda.so`);
  });
});
