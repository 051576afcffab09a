/** A run that is killed outright, again and again, ends with the bytes of one that was left alone. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { hashesOf } from '../e2e/files';
import { isLong } from '../long';
import { quickPrune, run, scratch, TINY } from './run';

/** Each takes most of a run: STRUPRUNE_LONG=1 makes 30. */
const KILLS = isLong ? 30 : 5;
/** On a machine that has slowed down since its undisturbed run, the first kills may all come before a block is done. */
const MOST_KILLS = 4 * KILLS;
const JOURNAL = 'small.struprune-journal';
/** Survey, feedback and both sites: every stage that a run can have. */
const TOKENS = ['--calibration-tokens', '1024', '--tune-tokens', '0', '--survey-tokens', '512'];
const SETTINGS = [...TOKENS, '--scope', 'all'];
/** Another model, by hand: an hour for SmolLM2 on two cores. */
const { STRUPRUNE_KILL_MODEL: MODEL = TINY } = process.env;
const args = (output: string, ...more: string[]) =>
  quickPrune(output, ...SETTINGS, '--alpha', '0.5', '--json', ...more).map((word) =>
    word === TINY ? MODEL : word,
  );

/** Numbers from 0 to 1, the same in every run of the test: a linear congruence. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test(`${KILLS} times SIGKILL at random moments: the same bytes, nothing left behind`, async (t) => {
  t.timeout(MODEL === TINY ? 900_000 : 14_400_000);
  const folder = await scratch(t);
  const temporary = join(folder, 'scratch');
  await mkdir(temporary);
  const reference = join(folder, 'reference');
  const start = performance.now();
  const undisturbed = await run(args(reference));
  let length = performance.now() - start;
  t.is(undisturbed.code, 0, undisturbed.stderr);
  const expected = hashesOf(reference);

  const random = numbers(20261124);
  const output = join(folder, 'small');
  let kills = 0;
  let resumedBlocks = 0;
  while (kills < KILLS || (resumedBlocks === 0 && kills < MOST_KILLS)) {
    const outcome = await run(args(output, '--resume', '--scratch', temporary), {
      killAfter: random() * length,
    });
    t.deepEqual(await readdir(temporary), [], 'scratch goes with its process');
    if (outcome.signal === 'SIGKILL') kills += 1;
    else {
      t.is(outcome.code, 0, outcome.stderr);
      // Nor may all of them come behind the end on one that is faster than it was then.
      length *= 0.8;
    }
    const names = (await readdir(folder)).filter((name) => name.startsWith('small'));
    t.true(names.every((name) => name === 'small' || name === JOURNAL));
    // A lock alone is what a kill leaves of a journal that was being removed.
    const journal = names.length > 1 ? await readdir(join(folder, JOURNAL)) : [];
    if (!names.includes('small') || journal.some((name) => name !== 'lock.json')) continue;
    // Whole, and perhaps killed after all was done.
    t.deepEqual(hashesOf(output), expected);
    if (outcome.code === 0) resumedBlocks += JSON.parse(outcome.stdout).resumedBlocks.length;
    await rm(output, { recursive: true });
  }
  const last = await run(args(output, '--resume'));
  t.is(last.code, 0, last.stderr);
  t.deepEqual(hashesOf(output), expected);
  t.deepEqual((await readdir(folder)).sort(), ['reference', 'scratch', 'small']);
  resumedBlocks += JSON.parse(last.stdout).resumedBlocks.length;
  t.true(resumedBlocks > 0, 'some run went on with the blocks of another');
});
