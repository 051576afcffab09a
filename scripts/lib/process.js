// Child processes, synchronous where a build has nothing else to do meanwhile.
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { SetupError } = require('./setup-error.js');
const { root } = require('./paths.js');

/** Full path of a program on PATH, or undefined. */
function which(name) {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      if (fs.statSync(file).isFile()) return file;
    } catch {
      // not here
    }
  }
  return undefined;
}

/**
 * Runs a command and returns { status, output } without judging it. `capture`: 'all' keeps stdout and
 * stderr, 'stdout' keeps stdout and shows stderr, 'none' shows both on our stderr.
 */
function attempt(command, args, { capture = 'all', env = {}, cwd = root } = {}) {
  const stdio = {
    all: ['ignore', 'pipe', 'pipe'],
    stdout: ['ignore', 'pipe', 'inherit'],
    none: ['ignore', 2, 2],
  }[capture];
  const child = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (child.error && child.error.code !== 'ENOENT') throw child.error;
  const output = `${child.stdout ?? ''}${child.stderr ?? ''}`;
  const status = child.error ? 127 : (child.status ?? 128);
  return { status, output };
}

/** As attempt, with other commands beside it. */
function attemptBesides(command, args, { env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const options = {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    };
    const child = spawn(command, args, options);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ status: code ?? 128, output }));
  });
}

/** Runs a command; when it fails, shows what it printed and throws a SetupError with the mend. */
function run(command, args, { what, mend = '', ...options } = {}) {
  const { status, output } = attempt(command, args, options);
  if (status !== 0) {
    throw new SetupError(`${what ?? path.basename(command)} failed (exit ${status})`, mend, output);
  }
  return output;
}

/** Progress of a step, on stderr: stdout belongs to the command that follows. */
function say(text) {
  process.stderr.write(`${text}\n`);
}

module.exports = { which, attempt, attemptBesides, run, say };
