// npm run docs: the reference of the API in docs/reference/, by TypeDoc. A warning is an error: a type that the API
// shows and does not export, a link that leads nowhere. With --check nothing is written.
const path = require('node:path');
const { ensureModules } = require('./lib/npm.js');
const { at, modules } = require('./lib/paths.js');
const { run, say } = require('./lib/process.js');
const { runMain } = require('./lib/setup-error.js');

const isCheck = process.argv.includes('--check');

runMain(() => {
  ensureModules();
  const typedoc = path.join(modules, 'typedoc', 'bin', 'typedoc');
  const args = ['--options', at('typedoc.json'), ...(isCheck ? ['--emit', 'none'] : [])];
  run(process.execPath, [typedoc, ...args], { what: 'typedoc', mend: 'see above' });
  if (!isCheck) say('docs/reference/index.html');
});
