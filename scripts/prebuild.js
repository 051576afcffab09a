// npm run prebuild: prebuilds/<platform>-<arch>/ with the addon and the libraries that it needs beside it,
// as node-gyp-build finds them in a published package. One file does for every Node, Electron and Bun: it is
// Node-API 8. On Linux it asks for nothing newer than glibc 2.28 (native/addon/glibc_pins.cpp).
const fs = require('node:fs');
const path = require('node:path');
const { ensureAll } = require('./lib/ensure.js');
const { withLock } = require('./lib/lock.js');
const { addon, at, output, root } = require('./lib/paths.js');
const { run, say } = require('./lib/process.js');
const { runMain } = require('./lib/setup-error.js');

const folder = at('prebuilds', `${process.platform}-${process.arch}`);
/** node-gyp-build reads the C library from the name. */
const libc = { linux: fs.existsSync('/etc/alpine-release') ? '.musl' : '.glibc' };
const name = `struprune-native${libc[process.platform] ?? ''}.node`;

function copyFiles() {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.copyFileSync(addon, path.join(folder, name));
  for (const file of fs.readdirSync(output)) {
    // The CUDA library has a package of its own.
    if (!/\.(so|dylib|dll)(\.|$)/.test(file) || file.startsWith('struprune_cuda')) continue;
    fs.copyFileSync(path.join(output, file), path.join(folder, file));
  }
  // Not the libraries: strip breaks files that patchelf has rewritten.
  if (process.platform === 'linux') {
    run('strip', ['--strip-unneeded', path.join(folder, name)], { what: 'strip' });
  }
}

function checkThatItLoads() {
  const load = `require('node-gyp-build')(${JSON.stringify(root)})`;
  run(process.execPath, ['-e', load], { what: 'loading it', env: { PREBUILDS_ONLY: '1' } });
}

runMain(() => {
  ensureAll();
  withLock(() => {
    copyFiles();
    checkThatItLoads();
    say(`${path.relative(root, folder)}: ${fs.readdirSync(folder).join(', ')}`);
  });
});
