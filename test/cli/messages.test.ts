/** Slips on the command line: the exit code, and a line that says what was meant and what there is. */
import { join } from 'node:path';
import test from 'ava';
import { runHere } from './here';
import { quickPrune, scratch, TINY } from './run';

const SLIPS: [what: string, args: string[], code: number, message: RegExp][] = [
  [
    'a budget without its unit',
    quickPrune('never', '--memory', '10', '--threads', '1'),
    6,
    /the budget is 10 bytes; was a unit left out\? raise --memory well above \d+MiB \[ERR_BUDGET\]/,
  ],
  [
    'a target without its unit',
    [
      ...quickPrune('never').filter((word) => !/^(--sparsity|0\.25)$/.test(word)),
      '--target-size=3',
    ],
    2,
    /target is 3 bytes, but .* keep [\d,]+ bytes in f16; ask for \d+ or more, or let more go: a larger --max-/,
  ],
  [
    'a shape that is none',
    ['bench', 'memory', '--shapes', '125m,3b'],
    2,
    /error: unknown shape 3b; choose from 125m, 350m, 1\.3b, 2\.7b, 6\.7b, mixtral-8x7b, .* \[ERR_ARGUMENT\]/,
  ],
  [
    'a Python that is none',
    ['bench', 'peers', TINY, '--python', 'nopy', '--threads', '1'],
    3,
    /error: there is no program nopy; name another Python with --python, or .* \[ERR_NOT_FOUND\]/,
  ],
  [
    'a Python that cannot be run',
    ['bench', 'peers', TINY, '--python', join(TINY, 'config.json'), '--threads', '1'],
    3,
    /error: there is no program .*config\.json; name another Python/,
  ],
  [
    'a report of nothing',
    ['bench', 'report'],
    3,
    /error: no benchmark has been run here \(no struprune-bench\); run one, or name a folder \[/,
  ],
];
for (const [what, args, exitCode, message] of SLIPS) {
  test(what, async (t) => {
    const { code, stderr } = await runHere(args, { cwd: await scratch(t) });
    t.is(code, exitCode, stderr);
    t.regex(stderr, message);
  });
}

test('help in front of a benchmark, and behind bench', async (t) => {
  const [usual, front, behind] = await Promise.all([
    runHere(['bench', 'quality', '--help']),
    runHere(['help', 'bench', 'quality']),
    runHere(['bench', 'help', 'quality']),
  ]);
  t.regex(usual.stdout, /^Usage: struprune-native bench quality /);
  t.deepEqual([front, behind], [usual, usual]);
  t.regex((await runHere(['bench', 'help'])).stdout, /^Usage: struprune-native bench /);
});
