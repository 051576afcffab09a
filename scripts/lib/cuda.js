// nvcc: of the system, else of pinned wheels in .deps/cuda; and what a CUDA library holds.
const fs = require('node:fs');
const path = require('node:path');
const { at } = require('./paths.js');
const { attempt, say, which } = require('./process.js');
const { SetupError } = require('./setup-error.js');
const { ensureWheels } = require('./wheels.js');

const WHEELS = [
  'nvidia-cuda-nvcc',
  'nvidia-cuda-crt',
  'nvidia-nvvm',
  'nvidia-cuda-runtime',
  'nvidia-cuda-cccl',
];
/** That of the wheels: with code for every target, and the driver that is asked for. */
const USUAL = 13;
/** The oldest that the sources have been compiled with. Its library runs on older drivers, on fewer GPUs. */
const OLDEST = 12.4;

/** 12.4 for CUDA 12.4; 0 where it cannot be learnt. */
function releaseOf(nvcc) {
  const { status, output } = attempt(nvcc, ['--version']);
  const [, release] = /release (\d+\.\d+)/.exec(output) ?? [];
  return status === 0 ? Number(release ?? 0) : 0;
}

/** CUDACXX, or else what PATH, CUDA_HOME and /usr/local/cuda have of CUDA 13 or newer, in this order. */
function systemCompiler() {
  const named = process.env.CUDACXX;
  if (named) {
    // A name is looked for; CMake keeps whole paths.
    const found = which(named) ?? path.resolve(named);
    const release = releaseOf(found);
    if (release >= OLDEST) return found;
    throw new SetupError(
      `CUDACXX=${named} is ${release ? `of CUDA ${release}` : 'no nvcc'}`,
      `name an nvcc of CUDA ${OLDEST} or newer, or none`,
    );
  }
  const home = process.env.CUDA_HOME ?? '/usr/local/cuda';
  const candidates = [which('nvcc'), path.join(home, 'bin', 'nvcc')];
  for (const nvcc of candidates.filter((file) => file && fs.existsSync(file))) {
    const release = releaseOf(nvcc);
    if (release >= USUAL) return nvcc;
    const older = release >= OLDEST ? `; CUDACXX=${nvcc} takes it, for older drivers` : '';
    say(`${nvcc} is of CUDA ${release || '?'}: using the pinned wheels of ${USUAL}${older}`);
  }
  return undefined;
}

/** Of these architectures those that an nvcc makes code for. */
function knownTo(nvcc, targets) {
  const { output } = attempt(nvcc, ['--list-gpu-code']);
  const known = new Set(output.match(/(?<=sm_)\d+/g));
  return targets.filter((target) => known.has(target));
}

/** Unpacking a wheel loses the permissions. */
function executable(file) {
  fs.chmodSync(file, 0o755);
  return file;
}

function wheelCompiler() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new SetupError(
      `no CUDA ${USUAL} toolkit was found, and its wheels are for Linux on x86-64`,
      'install the toolkit and set CUDACXX to its nvcc',
    );
  }
  const home = path.join(ensureWheels(...WHEELS), 'nvidia', 'cu13');
  for (const folder of ['bin', 'nvvm/bin']) {
    for (const name of fs.readdirSync(path.join(home, folder))) {
      executable(path.join(home, folder, name));
    }
  }
  // nvcc looks for lib64.
  const link = path.join(home, 'lib64');
  if (!fs.existsSync(link)) fs.symlinkSync('lib', link);
  return path.join(home, 'bin', 'nvcc');
}

/** Path of nvcc. Fetches 100 MB of wheels where the system has none. */
const ensureNvcc = () => systemCompiler() ?? wheelCompiler();

/** Path of the lister of a library's GPU code: beside the system's nvcc, else of a wheel. */
function cuobjdump() {
  const system = systemCompiler();
  const beside = system && path.join(path.dirname(fs.realpathSync(system)), 'cuobjdump');
  if (beside && fs.existsSync(beside)) return beside;
  const folder = path.join(ensureWheels('nvidia-cuda-cuobjdump'), 'nvidia', 'cu13', 'bin');
  return executable(path.join(folder, 'cuobjdump'));
}

/** Architectures that every published library has code for: those of the build's own default. */
function defaultTargets() {
  const cmake = fs.readFileSync(at('cmake', 'Cuda.cmake'), 'utf8');
  return /set\(STRUPRUNE_CUDA_TARGETS "([\d;]+)"/.exec(cmake)[1].split(';');
}

/** What a library says of itself: architectures that it has code for, and the one of its PTX. */
function targetsOf(library) {
  const [, code, ptx] = /\0((?:\d{2,3} )+)ptx(\d+)\0/.exec(fs.readFileSync(library, 'latin1'));
  return { code: code.trimEnd().split(' '), ptx };
}

module.exports = { cuobjdump, defaultTargets, ensureNvcc, knownTo, targetsOf };
