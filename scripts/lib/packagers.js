// The same CMakeLists.txt through the tools that packagers use.
const fs = require('node:fs');
const path = require('node:path');
const { run } = require('./process.js');
const { modules } = require('./paths.js');

/** node-gyp downloads Node's headers unless told where they lie. */
function headerEnvironment() {
  const prefix = path.resolve(path.dirname(fs.realpathSync(process.execPath)), '..');
  const isThere = fs.existsSync(path.join(prefix, 'include', 'node', 'node.h'));
  return isThere && !process.env.npm_config_nodedir ? { npm_config_nodedir: prefix } : {};
}

function runTool(packageName, script, args, mend) {
  const file = path.join(modules, packageName, ...script.split('/'));
  run(process.execPath, [file, ...args], {
    what: packageName,
    mend,
    capture: 'none',
    env: headerEnvironment(),
  });
}

const HEADERS =
  'see above; if it wants the headers of Node: npm_config_nodedir=FOLDER, or be online';

const nodeGyp = () => runTool('node-gyp', 'bin/node-gyp.js', ['rebuild'], HEADERS);
const cmakeJs = () => runTool('cmake-js', 'bin/cmake-js', ['compile']);
const prebuildify = (...args) => runTool('prebuildify', 'bin.js', args, HEADERS);

module.exports = { nodeGyp, cmakeJs, prebuildify };
