// npm run prebuild: prebuilds/<platform>-<arch>/ with the addon and the libraries that it needs beside it,
// as node-gyp-build finds them in a published package. One file does for every Node, Electron and Bun: it is
// Node-API 8. On Linux it asks for nothing newer than glibc 2.28 (native/core/os/addon/glibc_pins.cpp).
const fs = require('node:fs');
const path = require('node:path');
const { ensureAll } = require('./lib/ensure.js');
const { withLock } = require('./lib/lock.js');
const { prebuildify } = require('./lib/packagers.js');
const { addon, output, root } = require('./lib/paths.js');
const { copyLibraries, folderOf } = require('./lib/prebuilds.js');
const { run, say } = require('./lib/process.js');
const { runMain } = require('./lib/setup-error.js');

const folder = folderOf(`${process.platform}-${process.arch}`);

function stripAndKeep() {
  const file = path.join(
    folder,
    fs.readdirSync(folder).find((name) => name.endsWith('.node')),
  );
  fs.copyFileSync(file, addon);
  // Not the libraries: strip breaks files that patchelf has rewritten.
  if (process.platform === 'linux') run('strip', ['--strip-unneeded', file], { what: 'strip' });
}

function checkThatItLoads() {
  const load = `require('node-gyp-build')(${JSON.stringify(root)})`;
  run(process.execPath, ['-e', load], { what: 'loading it', env: { PREBUILDS_ONLY: '1' } });
}

runMain(() => {
  ensureAll();
  withLock(() => {
    fs.rmSync(folder, { recursive: true, force: true });
    prebuildify('--napi', '--tag-libc');
    // It moves the addon and knows `libx.so.1` but not `libx.so.5.0.0`.
    copyLibraries(output, folder);
    stripAndKeep();
    checkThatItLoads();
    say(`${path.relative(root, folder)}: ${fs.readdirSync(folder).join(', ')}`);
  });
});
