// npm run compile: the native addon and dist/. Named so, since npm runs a script called `prebuild` before
// every `build`. Options: --native the addon alone (binding.gyp's action); --node-gyp or --cmake-js the
// addon by that tool, over the same CMakeLists.txt.
const { ensureAll } = require('./lib/ensure.js');
const { withLock } = require('./lib/lock.js');
const { ensureModules } = require('./lib/npm.js');
const { cmakeJs, nodeGyp } = require('./lib/packagers.js');
const { runMain } = require('./lib/setup-error.js');

const option = process.argv[2];
const packager = { '--node-gyp': nodeGyp, '--cmake-js': cmakeJs }[option];

runMain(() => {
  if (!packager) return ensureAll({ addonOnly: option === '--native' });
  return withLock(() => {
    ensureModules();
    packager();
  });
});
