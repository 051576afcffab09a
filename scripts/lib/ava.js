// ava, counted from its TAP output.
const { spawn } = require('node:child_process');
const path = require('node:path');
const readline = require('node:readline');
const { modules, root } = require('./paths.js');
const { none } = require('./tally.js');

/** Counts one line of TAP into a tally. */
function countLine(tally, line) {
  const match = /^(not )?ok \d+(.*)$/.exec(line);
  if (!match) return;
  const [, not, rest] = match;
  if (/# (SKIP|TODO)\b/i.test(rest)) tally.skipped += 1;
  else tally[not ? 'failed' : 'passed'] += 1;
}

/** Runs ava with arguments (patterns), shows its TAP with the seconds since the start, and resolves with the counts. */
function runAva(args, env = {}) {
  const cli = path.join(modules, 'ava', 'entrypoints', 'cli.mjs');
  const child = spawn(process.execPath, [cli, '--tap', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const tally = none();
  const start = performance.now();
  const lines = readline.createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    countLine(tally, line);
    const seconds = Math.round((performance.now() - start) / 1000);
    console.log(/^(not )?ok/.test(line) ? `${String(seconds).padStart(4)} s ${line}` : line);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      // A file that crashed, or patterns that match nothing.
      if (code !== 0 && tally.failed === 0) tally.failed = 1;
      resolve(tally);
    });
  });
}

module.exports = { runAva };
