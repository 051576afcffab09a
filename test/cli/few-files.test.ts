/** A limit on open files: an error with a code, wherever it is met. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { workspace } from '../e2e/models';
import { quickPrune } from './run';

const work = workspace();
test.after.always(() => work.remove());

const PROGRAM = join(resolve(__dirname, '../..'), 'dist', 'lib', 'cli', 'main.js');

/** The program after so many descriptors of its limit are left. */
const HUNGRY = `
  const { closeSync, openSync } = require('node:fs');
  const [left, program, ...rest] = process.argv.slice(1);
  const taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null'));
  } catch {}
  for (let i = 0; i < Number(left); i++) closeSync(taken.pop());
  process.argv = [process.argv[0], program, ...rest];
  require(program);
`;

test('few open files are said with the way to more of them', (t) => {
  const folder = work.emptyFolder();
  const statuses: (number | null)[] = [];
  // With fewer Node itself does not come as far as the program.
  for (const left of [4, 6, 9, 14, 40]) {
    const args = [HUNGRY, String(left), PROGRAM, ...quickPrune(join(folder, `out-${left}`))];
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', 'ulimit -n 96; "$@"', 'sh', process.execPath, '-e', ...args, '--method', 'wanda-sp'],
      { encoding: 'utf8' },
    );
    statuses.push(status);
    if (status === 0) continue;
    t.is(status, 6, `${left} left: ${stderr}`);
    t.regex(stderr, /error: the system gave no more open files; .*ulimit -n.* \[ERR_BUDGET\]\n$/);
    // A run that had begun may leave its journal, for --resume.
    const journal = `out-${left}.struprune-journal`;
    t.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith(`out-${left}`) && name !== journal),
      [],
    );
  }
  t.is(statuses[0], 6);
  t.is(statuses.at(-1), 0);
});
