// The whole set-up in order; every step is skipped when its result is already there.
const { withLock } = require('./lock.js');
const { ensureModules } = require('./npm.js');
const { checkTools, ensureAddon, isAddonCurrent } = require('./native.js');
const { SetupError } = require('./setup-error.js');
const { ensureDist } = require('./typescript.js');

function checkNode() {
  if (Number(process.versions.node.split('.')[0]) >= 20) return;
  throw new SetupError(`this is Node ${process.versions.node}`, 'install Node.js 20 or newer');
}

function ensureAll({ addonOnly = false } = {}) {
  checkNode();
  withLock(() => {
    // What is missing is said before anything is fetched.
    if (!isAddonCurrent()) checkTools();
    ensureModules();
    ensureAddon();
    if (!addonOnly) ensureDist();
  });
}

module.exports = { ensureAll };
