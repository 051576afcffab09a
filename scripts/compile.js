// npm run compile: the native addon and dist/. With --native the addon alone (binding.gyp's action).
// Named so, since npm runs a script called `prebuild` before every `build`.
const { ensureAll } = require('./lib/ensure.js');
const { runMain } = require('./lib/setup-error.js');

runMain(() => ensureAll({ addonOnly: process.argv.includes('--native') }));
