// The addon of other systems, built on Debian on x86-64.
const fs = require('node:fs');
const path = require('node:path');
const { blasOf, cmakeBuild } = require('./native.js');
const { at, cmake, deps } = require('./paths.js');
const { copyLibraries, folderOf } = require('./prebuilds.js');
const { run, which } = require('./process.js');
const { SetupError } = require('./setup-error.js');
const { ensureOpenblas, ensureWheels } = require('./wheels.js');

/** By system. `addon`: its name for node-gyp-build; `program`: one of the Debian package `debian`, else zig compiles. */
const SYSTEMS = {
  'linux-arm64': {
    program: 'aarch64-linux-gnu-g++',
    debian: 'g++-aarch64-linux-gnu',
    strip: 'aarch64-linux-gnu-strip',
    addon: 'struprune-native.glibc.node',
  },
  'win32-x64': {
    program: 'x86_64-w64-mingw32-g++-posix',
    debian: 'g++-mingw-w64-x86-64-posix',
    strip: 'x86_64-w64-mingw32-strip',
    addon: 'struprune-native.node',
  },
  'darwin-arm64': { addon: 'struprune-native.node' },
  'darwin-x64': { addon: 'struprune-native.node' },
};

/** Variables of the environment for CMake. */
function toolsFor({ program, debian }) {
  if (program === undefined) {
    const zig = path.join(ensureWheels('ziglang'), 'ziglang', 'zig');
    fs.chmodSync(zig, 0o755);
    return { STRUPRUNE_ZIG: zig };
  }
  if (which(program)) return {};
  throw new SetupError(
    `${program} is not on PATH`,
    `install it (Debian: apt-get install ${debian})`,
  );
}

/** Builds for `system` into prebuilds/<system>; returns that folder. */
function buildFor(system) {
  const { addon, strip, ...tools } = SYSTEMS[system];
  const env = toolsFor(tools);
  const blas = blasOf(system);
  if (blas === 'openblas-wheel') ensureOpenblas(system);
  const name = `cross-${system}`;
  const output = path.join(cmake, name, 'output');
  const options = {
    CMAKE_TOOLCHAIN_FILE: at('cmake', 'cross', `${system}.cmake`),
    STRUPRUNE_BLAS: blas,
    STRUPRUNE_DEPS: path.join(deps, system),
    STRUPRUNE_OUTPUT: output,
  };
  cmakeBuild(name, 'struprune', options, env);
  const folder = folderOf(system);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  copyLibraries(output, folder);
  const file = path.join(folder, addon);
  fs.copyFileSync(path.join(output, 'struprune.node'), file);
  if (strip) run(strip, ['--strip-unneeded', file], { what: 'strip' });
  return folder;
}

module.exports = { SYSTEMS, buildFor };
