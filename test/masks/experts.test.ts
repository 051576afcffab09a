/** How many experts go in a round, and how often a layer is measured for it; test/methods has torch's choices. */
import test from 'ava';
import { type ExpertSearchName, findExperts, passesOf } from '../../lib/masks/experts';

const EXPERTS = 20;

/** The growth of an expert is its number, until expert 0 has gone: from then on it falls with the number. */
async function search(name: ExpertSearchName, removed: number) {
  const asked: number[][] = [];
  const choice = await findExperts(
    name,
    async (gone) => {
      asked.push([...gone]);
      const growth = Float64Array.from({ length: EXPERTS }, (_, j) =>
        gone.includes(0) ? EXPERTS - j : j,
      );
      const tokens = Float64Array.from({ length: EXPERTS }, (_, j) => j);
      const norms = tokens.map((count) => count * (count % 7));
      return { norms, tokens, growth, error: gone.length, energy: 2 * removed };
    },
    removed,
  );
  return { asked, choice, kept: [...choice.kept] };
}

test('error: at most eight rounds, each measured without those before', async (t) => {
  const { asked, choice, kept } = await search('error', 12);
  t.deepEqual(
    asked.map(({ length }) => length),
    [0, 2, 3, 5, 6, 8, 9, 11, 12],
  );
  t.deepEqual(asked[1], [0, 1]);
  t.deepEqual(asked[2], [0, 1, 19]);
  t.deepEqual(kept, [2, 3, 4, 5, 6, 7, 8, 9]);
  t.is(choice.relativeError, 0.5);
  for (const removed of [1, 7, 8, 12]) {
    t.is((await search('error', removed)).asked.length, passesOf('error', removed));
  }
});

test('reap: the smallest means over the tokens of each, those without any first', async (t) => {
  const { asked, kept } = await search('reap', 3);
  t.deepEqual(asked, [[], [0, 7, 14]]);
  t.is(kept.length, EXPERTS - 3);
  t.is(passesOf('reap', 3), 2);
});
