// The CMake build: configure and build in .build/<name>, the addon in build/Release.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { attempt, say, which } = require('./process.js');
const { filesUnder, hashOf, isCurrent, writeStamp } = require('./stamp.js');
const { SetupError } = require('./setup-error.js');
const { ensureOpenblas, ensureWheels } = require('./wheels.js');
const { addon, at, cmake, output } = require('./paths.js');

/** Where nothing else is asked for: macOS has a BLAS of its own. */
const blasOf = (system) => (system.startsWith('darwin') ? 'accelerate' : 'openblas-wheel');

/**
 * What the environment asks for, STRUPRUNE_BLAS and STRUPRUNE_ONEDNN, as in CMakeLists.txt, and no CUDA library
 * (scripts/build-cuda.js builds that in the same folder: most of its self-test is the addon's code).
 */
function buildOptions() {
  const isOn = (value) => /^(on|1|true|yes)$/i.test(value ?? '');
  return {
    STRUPRUNE_CUDA: 'OFF',
    STRUPRUNE_BLAS: process.env.STRUPRUNE_BLAS ?? blasOf(process.platform),
    STRUPRUNE_ONEDNN: isOn(process.env.STRUPRUNE_ONEDNN) ? 'ON' : 'OFF',
  };
}

/** Fetches what the chosen options need; libraries of the system are left to CMake to find. */
function ensureDependencies(options = buildOptions()) {
  if (options.STRUPRUNE_BLAS === 'openblas-wheel') ensureOpenblas();
  if (options.STRUPRUNE_BLAS === 'mkl' && !process.env.MKLROOT) {
    ensureWheels('mkl-include', 'mkl-static');
  }
  if (options.STRUPRUNE_ONEDNN === 'ON' && !process.env.DNNLROOT) {
    ensureWheels('onednn-cpu-gomp', 'onednn-devel-cpu-gomp');
  }
}

/** Python is for pip alone, which fetches the wheels. */
function checkTools() {
  const compiler = process.env.CXX?.split(' ')[0];
  const tools = [
    ['python3', which('python3'), 'python3-pip'],
    ['cmake', which('cmake'), 'cmake'],
    ['a C++20 compiler', compiler ?? which('c++') ?? which('g++') ?? which('clang++'), 'g++'],
    ['make or ninja', which('ninja') ?? which('make'), 'make'],
  ];
  const missing = tools.filter(([, found]) => !found);
  if (missing.length === 0) return;
  throw new SetupError(
    `not on PATH: ${missing.map(([name]) => name).join(', ')}`,
    `install them (Debian: apt-get install ${missing.map(([, , name]) => name).join(' ')})`,
  );
}

/** The part of a build log that matters: from the first error on, or its end. */
function excerpt(log, count = 60) {
  const lines = log.trimEnd().split('\n');
  const first = lines.findIndex((line) => /^FAILED|error:|^CMake Error/.test(line));
  return (first < 0 ? lines.slice(-count) : lines.slice(first, first + count)).join('\n');
}

/**
 * Configures and builds `target` in .build/<name> with CMake's cache variables `options`; undefined is what
 * CMakeLists.txt has. Prints only when it fails. `env`: further variables of the environment. Returns the build folder.
 */
function cmakeBuild(name, target, options, env = {}) {
  checkTools();
  const folder = path.join(cmake, name);
  const generator = which('ninja') ? 'Ninja' : 'Unix Makefiles';
  const cache = path.join(folder, 'CMakeCache.txt');
  // CMake refuses another generator, or a checkout that was moved, and keeps the nvcc that it had first: start anew.
  if (fs.existsSync(cache)) {
    const text = fs.readFileSync(cache, 'utf8');
    const compiler = /^CMAKE_CUDA_COMPILER:\w+=(.+)$/m.exec(text)?.[1];
    const isOurs =
      text.includes(`CMAKE_GENERATOR:INTERNAL=${generator}\n`) &&
      text.includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${at()}\n`) &&
      [undefined, env.CUDACXX ?? compiler].includes(compiler);
    if (!isOurs) fs.rmSync(folder, { recursive: true });
  }
  const defines = Object.entries(options).map(([key, value]) =>
    value === undefined ? `-U${key}` : `-D${key}=${value}`,
  );
  const steps = [
    ['configuring', ['-S', at(), '-B', folder, '-G', generator, ...defines]],
    ['building', ['--build', folder, '--target', target, '--parallel', String(jobs())]],
  ];
  for (const [what, args] of steps) {
    const { status, output: log } = attempt('cmake', args, { env });
    if (status !== 0) {
      throw new SetupError(
        `${what} the native code failed`,
        `see above; to start anew: rm -r ${path.relative(process.cwd(), folder)}`,
        excerpt(log),
      );
    }
  }
  return folder;
}

/** A compiler job takes up to 1 GiB. */
function jobs() {
  const wanted = Number(process.env.STRUPRUNE_JOBS) || os.availableParallelism();
  return Math.max(1, Math.min(wanted, Math.floor(os.totalmem() / 2 ** 30)));
}

const stamp = path.join(output, '.stamp');

/** Hash of all that the addon is made from. */
function addonHash() {
  const inputs = [
    'CMakeLists.txt',
    'cmake',
    'native',
    'scripts/lib/wheels.js',
    'package-lock.json',
  ];
  const others = ['test', 'fuzz', 'emulation', 'selftest'];
  const elsewhere = others.map((folder) => at('native', folder));
  const isSource = (file) => !elsewhere.some((folder) => file.startsWith(folder));
  const files = inputs.flatMap((input) => filesUnder(at(input), isSource));
  return hashOf(files, [buildOptions(), process.arch]);
}

function isAddonCurrent() {
  return fs.existsSync(addon) && isCurrent(stamp, addonHash());
}

/** Builds the addon when a source, an option or a dependency has changed. */
function ensureAddon() {
  if (isAddonCurrent()) return;
  const hash = addonHash();
  ensureDependencies();
  say('building the native addon');
  cmakeBuild('cmake', 'struprune', buildOptions());
  writeStamp(stamp, hash);
}

module.exports = {
  blasOf,
  buildOptions,
  checkTools,
  cmakeBuild,
  ensureAddon,
  ensureDependencies,
  isAddonCurrent,
  jobs,
};
