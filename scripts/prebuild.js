// npm run prebuild: prebuilds/<platform>-<arch>/ with the addon and the libraries that it needs beside it,
// as node-gyp-build finds them in a published package.
const fs = require('node:fs');
const path = require('node:path');
const { withLock } = require('./lib/lock.js');
const { ensureModules } = require('./lib/npm.js');
const { prebuildify } = require('./lib/packagers.js');
const { addon, at, output, root } = require('./lib/paths.js');
const { run, say } = require('./lib/process.js');
const { runMain } = require('./lib/setup-error.js');

const folder = at('prebuilds', `${process.platform}-${process.arch}`);

/** prebuildify moves the addon and knows `libx.so.1` but not `libx.so.5.0.0`: the rest is copied here. */
function copyLibraries() {
  for (const name of fs.readdirSync(output)) {
    // The package of the CPU: who has a GPU builds the CUDA library.
    if (/\.so(\.|$)/.test(name) && name !== 'struprune_cuda.so') {
      fs.copyFileSync(path.join(output, name), path.join(folder, name));
    }
  }
}

function stripAndKeep() {
  const name = fs.readdirSync(folder).find((file) => file.endsWith('.node'));
  const file = path.join(folder, name);
  fs.copyFileSync(file, addon);
  // Not the libraries: strip breaks files that patchelf has rewritten.
  run('strip', ['--strip-unneeded', file], { what: 'strip' });
}

function checkThatItLoads() {
  const load = `require('node-gyp-build')(${JSON.stringify(root)})`;
  run(process.execPath, ['-e', load], { what: 'loading it', env: { PREBUILDS_ONLY: '1' } });
}

runMain(() =>
  withLock(() => {
    ensureModules();
    fs.rmSync(folder, { recursive: true, force: true });
    prebuildify('--napi', '--tag-libc');
    copyLibraries();
    stripAndKeep();
    checkThatItLoads();
    say(`${path.relative(root, folder)}: ${fs.readdirSync(folder).join(', ')}`);
  }),
);
