// node -r scripts/lib/ts-register.js: TypeScript files as ts-node compiles them, without type checks. What it gave for a
// file is kept in .cache/ts-node until the file changes: a test starts hundreds of threads and processes, and each
// would load the compiler and give it the whole library again.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { at, root } = require('./paths.js');

const compilers = ['ts-node', '@swc/core'].map((name) => require(`${name}/package.json`).version);
const settings = JSON.stringify([...compilers, fs.readFileSync(at('tsconfig.json'), 'utf8')]);

let service;

function compile(source, file) {
  service ??= require('ts-node').create({ transpileOnly: true });
  return service.compile(source, file);
}

/** The text of a file, or null. */
function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** As many processes write at once, each into a file of its own, of which the last one stays. */
function write(file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const own = `${file}.${process.pid}.${crypto.randomUUID()}`;
  fs.writeFileSync(own, text);
  fs.renameSync(own, file);
}

require.extensions['.ts'] = (module, file) => {
  const source = fs.readFileSync(file, 'utf8');
  const hash = crypto.createHash('sha256').update(settings).update(source).digest('hex');
  const stamp = `// ${hash}\n`;
  const cached = at('.cache', 'ts-node', `${path.relative(root, file)}.js`);
  let code = read(cached);
  // The stamp comes last: the source map counts lines from the first.
  if (!code?.endsWith(stamp)) {
    code = `${compile(source, file)}\n${stamp}`;
    write(cached, code);
  }
  module._compile(code, file);
};
