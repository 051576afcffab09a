// npm run stage:cuda: packages/cuda/ as it is published, with the library that npm run build:cuda has built. (Called prebuild:cuda,
// npm would run it before build:cuda.)
const fs = require('node:fs');
const path = require('node:path');
const { defaultTargets, targetsOf } = require('./lib/cuda.js');
const { at, output, root } = require('./lib/paths.js');
const { say } = require('./lib/process.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

runMain(() => {
  const built = path.join(output, 'struprune_cuda.so');
  if (!fs.existsSync(built)) {
    throw new SetupError(`${path.relative(root, built)} is not there`, 'npm run build:cuda');
  }
  const { code } = targetsOf(built);
  const missing = defaultTargets().filter((target) => !code.includes(target));
  if (missing.length > 0) {
    throw new SetupError(`the library has no code for ${missing.join(', ')}`, 'npm run build:cuda');
  }
  const versions = ['package.json', 'packages/cuda/package.json'].map(
    (file) => JSON.parse(fs.readFileSync(at(file), 'utf8')).version,
  );
  if (versions[0] !== versions[1]) {
    throw new SetupError(
      `versions ${versions.join(' and ')}`,
      'give both packages the same version',
    );
  }
  const folder = at('packages', 'cuda');
  fs.copyFileSync(built, path.join(folder, 'struprune_cuda.so'));
  fs.copyFileSync(at('LICENSE'), path.join(folder, 'LICENSE'));
  say('packages/cuda: struprune_cuda.so, LICENSE');
});
