// The whole set-up in order; every step is skipped when its result is already there.
const { withLock } = require('./lock.js');
const { ensureModules } = require('./npm.js');
const { ensureAddon } = require('./native.js');
const { ensureDist } = require('./typescript.js');

function ensureAll({ addonOnly = false } = {}) {
  withLock(() => {
    ensureModules();
    ensureAddon();
    if (!addonOnly) ensureDist();
  });
}

module.exports = { ensureAll };
