/** How many experts go in a round, and how often a layer is measured for it; test/methods has torch's choices. */
import test from 'ava';
import {
  type ExpertSearchName,
  expertCurve,
  findExperts,
  passesOf,
  passesOfCurve,
  roundsOfCurve,
} from '../../lib/masks/experts';

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

test('a curve: measured after every round, by straight lines between them', async (t) => {
  const asked: number[][] = [];
  const curve = await expertCurve(async (gone) => {
    asked.push([...gone]);
    const growth = Float64Array.from({ length: EXPERTS }, (_, j) => j);
    return { norms: growth, tokens: growth, growth, error: gone.length ** 2, energy: 400 };
  }, 12);
  t.deepEqual(
    asked.map(({ length }) => length),
    [0, ...roundsOfCurve(12)],
  );
  t.is(asked.length, passesOfCurve(12));
  t.deepEqual(roundsOfCurve(12), [2, 3, 5, 6, 8, 9, 11, 12]);
  t.deepEqual(asked.at(-1), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  t.deepEqual([...curve.error], [0, 2, 4, 9, 17, 25, 36, 50, 64, 81, 101, 121, 144]);
  t.is(curve.energy, 400);
  t.deepEqual(
    curve.rounds.map(({ gone, error }) => [gone.length, error]),
    roundsOfCurve(12).map((count) => [count, count ** 2]),
  );
  t.is(passesOfCurve(0), 1);
});
