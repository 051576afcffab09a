import test from 'ava';
import { groupScores } from '../../lib/solver/scores';
import { findMask } from '../../lib/solver/solve';
import { channelStructure } from '../../lib/solver/structures/channels';
import { maskAfter, maskForBudget, mostRemovals, removalsForBudget } from '../../lib/solver/sweep';
import { loadFixture, makeSolver } from './fixtures';

const fixture = loadFixture('columns');
const groups = fixture.sums.in;
const structure = channelStructure({ channels: groups, hidden: fixture.sums.out, gated: true });
const cost = structure.costs[0]!;
const half = (groups / 2) * cost;

function count(keep: Uint8Array): number {
  return keep.reduce((sum, value) => sum + value, 0);
}

test('a mask of any width comes out of one order', (t) => {
  t.deepEqual([...maskAfter(Int32Array.of(2, 0, 1), 4, 2)], [0, 1, 0, 1]);
  t.throws(() => maskAfter(Int32Array.of(2, 0), 4, 3), { code: 'ERR_ARGUMENT' });
});

test('removals meet the budget after rounding', (t) => {
  const order = Int32Array.from({ length: 20 }, (_, group) => 19 - group);
  const rounded = channelStructure({ channels: 20, hidden: 1, gated: false, multiple: 8 });
  // Cost 2 each: 30 holds 15 groups, 8 is the width below.
  t.is(removalsForBudget(order, rounded, 30), 12);
  t.is(removalsForBudget(order, rounded, 40), 0);
  t.is(mostRemovals(rounded, 30), 12);
  t.deepEqual([...maskForBudget({ order }, rounded, 17)].slice(0, 9), [1, 1, 1, 1, 1, 1, 1, 1, 0]);
  t.throws(() => removalsForBudget(order.subarray(0, 5), rounded, 30), { code: 'ERR_ARGUMENT' });
  t.throws(() => removalsForBudget(order, rounded, 3), { code: 'ERR_ARGUMENT' });
});

test('unequal costs: a sweep that stops early still meets the budget', (t) => {
  const unequal = { ...structure, groups: 4, costs: Float64Array.of(5, 1, 2, 8) };
  // 16 in all; to reach 9 the cheapest first are 1, 2, 5: three removals at most.
  t.is(mostRemovals(unequal, 9), 3);
  t.is(removalsForBudget(Int32Array.of(3, 0, 1), unequal, 9), 1);
});

test('every method keeps what the budget allows; the sweep and a swap are best', async (t) => {
  const solver = await makeSolver(fixture.sums);
  const error = async (options: Parameters<typeof findMask>[3]) => {
    const { keep } = await findMask(solver, structure, half, options);
    t.is(count(keep), groups / 2);
    return (await solver.refit(keep)).error;
  };
  const magnitude = await error({ method: 'magnitude' });
  const wanda = await error({ method: 'wanda' });
  const sweep = await error({});
  const swapped = await error({ method: 'magnitude', maxSwaps: 100 });
  const admm = await error({ method: 'admm' });
  const warm = await error({ method: 'admm', admmStart: 'sweep' });
  t.true(sweep <= wanda);
  t.true(swapped < magnitude);
  for (const other of [swapped, admm, warm]) t.true(other < 1.1 * sweep);
});

test('the sweep mask is the numpy order cut at the budget', async (t) => {
  const report = await findMask(await makeSolver(fixture.sums), structure, half);
  const removed = new Set(fixture.sweep.order.slice(0, groups / 2));
  t.deepEqual(
    [...report.keep],
    Array.from({ length: groups }, (_, group) => (removed.has(group) ? 0 : 1)),
  );
  t.is(report.lambda, 0.05);
});

test('scores are summed over groups', (t) => {
  const columns = {
    weightAbsMean: Float64Array.of(1, 2, 3, 4),
    weightNormSq: Float64Array.of(1, 1, 2, 2),
    second: Float64Array.of(5, 5, 1, 1),
    mean: Float64Array.of(2, 1, 1, 0),
  };
  t.deepEqual([...groupScores(columns, 2, 'magnitude')], [3, 7]);
  t.deepEqual([...groupScores(columns, 2, 'wanda')], [10, 4]);
  t.deepEqual([...groupScores(columns, 2, 'fluctuation')], [5, 2]);
});
