/** The same command three times at once. */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { hashesOf } from '../e2e/files';
import { quickPrune, run, scratch } from './run';

test('three at once: one goes on, the others are refused', async (t) => {
  const folder = await scratch(t);
  const alone = join(folder, 'alone');
  t.is((await run(quickPrune(alone, '--survey-tokens', '256'))).code, 0);
  const shared = join(folder, 'shared');
  await mkdir(shared);
  const output = join(shared, 'out');
  const args = quickPrune(output, '--survey-tokens', '256');
  const all = await Promise.all([1, 2, 3].map(() => run(args)));
  const refused = all.filter(({ code }) => code !== 0);
  t.is(refused.length, 2, all.map(({ stderr }) => stderr).join());
  for (const { code, stderr } of refused) {
    t.is(code, 4);
    t.regex(stderr, /is writing this output|exists already/);
  }
  t.deepEqual(hashesOf(output), hashesOf(alone));
  t.deepEqual(await readdir(shared), ['out']);
});
