// prebuilds/<system>: the addon and the libraries that it needs beside it, as node-gyp-build finds them in a package.
const fs = require('node:fs');
const path = require('node:path');
const { at } = require('./paths.js');

const folderOf = (system) => at('prebuilds', system);

/** Copies the libraries that a build has laid beside its addon. The CUDA library has a package of its own. */
function copyLibraries(from, to) {
  for (const file of fs.readdirSync(from)) {
    if (!/\.(so|dylib|dll)(\.|$)/.test(file) || file.startsWith('struprune_cuda')) continue;
    fs.copyFileSync(path.join(from, file), path.join(to, file));
  }
}

module.exports = { copyLibraries, folderOf };
