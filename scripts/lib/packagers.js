// The same CMakeLists.txt through the tools that packagers use.
const fs = require('node:fs');
const path = require('node:path');
const { run } = require('./process.js');
const { cmake, modules, output } = require('./paths.js');

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

/** What npm run build:cuda has made: node-gyp clears build/ away before it builds. */
const CUDA_FILES = ['struprune_cuda.so', 'struprune_selftest'];

function keepingCuda(work) {
  const there = CUDA_FILES.filter((name) => fs.existsSync(path.join(output, name)));
  fs.mkdirSync(cmake, { recursive: true });
  const aside = fs.mkdtempSync(path.join(cmake, 'aside-'));
  for (const name of there) fs.renameSync(path.join(output, name), path.join(aside, name));
  try {
    work();
  } finally {
    fs.mkdirSync(output, { recursive: true });
    for (const name of there) fs.renameSync(path.join(aside, name), path.join(output, name));
    fs.rmdirSync(aside);
  }
}

const HEADERS =
  'see above; if it wants the headers of Node: npm_config_nodedir=FOLDER, or be online';

const nodeGyp = () =>
  keepingCuda(() => runTool('node-gyp', 'bin/node-gyp.js', ['rebuild'], HEADERS));
const cmakeJs = () => runTool('cmake-js', 'bin/cmake-js', ['compile']);
const prebuildify = (...args) => keepingCuda(() => runTool('prebuildify', 'bin.js', args, HEADERS));

module.exports = { nodeGyp, cmakeJs, prebuildify };
