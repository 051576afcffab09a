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

/** Runs ava with arguments (patterns), shows its TAP, and resolves with the counts. */
function runAva(args, env = {}) {
  const cli = path.join(modules, 'ava', 'entrypoints', 'cli.mjs');
  const child = spawn(process.execPath, [cli, '--tap', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const tally = none();
  const lines = readline.createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    countLine(tally, line);
    console.log(line);
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
