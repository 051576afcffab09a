import test from 'ava';
import type { Solver } from '../../lib/engine/solver';
import { findMask, MASK_DEFAULTS, type MaskProblem, type MaskRecipe } from '../../lib/masks';
import { SCORES } from '../../lib/masks/scores';
import { maskAfter, maskForBudget, mostRemovals, removalsForBudget } from '../../lib/masks/sweep';
import { channelStructure } from '../../lib/solver/structures/channels';
import { loadFixture, makeSolver } from './fixtures';

const fixture = loadFixture('columns');
const groups = fixture.sums.in;
const structure = channelStructure({ channels: groups, hidden: fixture.sums.out, gated: true });
const cost = structure.costs[0]!;
const half = (groups / 2) * cost;

function problemOf(solver: Solver): MaskProblem {
  const place = { block: 0, site: 'ffn' as const, keep: groups / 2 };
  return { solver, structure, budget: half, bias: false, metric: 'plain', place };
}

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
  const error = async (recipe: Partial<MaskRecipe>) => {
    const { keep } = await findMask(problemOf(solver), { ...MASK_DEFAULTS, ...recipe });
    t.is(count(keep), groups / 2);
    return (await solver.refit(keep)).error;
  };
  const magnitude = await error({ search: 'magnitude-l1' });
  const wanda = await error({ search: 'wanda-l2' });
  const sweep = await error({});
  const swapped = await error({ search: 'magnitude-l1', swaps: 100 });
  const admm = await error({ search: 'admm' });
  const warm = await error({ search: 'admm', start: 'sweep' });
  t.true(sweep <= wanda);
  t.true(swapped < magnitude);
  for (const other of [swapped, admm, warm]) t.true(other < 1.1 * sweep);
});

test('the sweep mask is the numpy order cut at the budget', async (t) => {
  const report = await findMask(problemOf(await makeSolver(fixture.sums)), MASK_DEFAULTS);
  const removed = new Set(fixture.sweep.order.slice(0, groups / 2));
  t.deepEqual(
    [...report.keep],
    Array.from({ length: groups }, (_, group) => (removed.has(group) ? 0 : 1)),
  );
  t.is(report.lambda, 0.05);
});

test('scores by hand, two groups of two columns', (t) => {
  const site = {
    groupSize: 2,
    tokens: 1,
    weightAbsMean: Float64Array.of(1, 2, 3, 4),
    weightShare: Float64Array.of(1, 2, 3, 4),
    weightNormSq: Float64Array.of(1, 1, 2, 2),
    second: Float64Array.of(5, 5, 1, 1),
    mean: Float64Array.of(2, 1, 1, 0),
  };
  const scores = (name: keyof typeof SCORES) => [...SCORES[name].of(site)];
  t.deepEqual(scores('magnitude-l1'), [3, 7]);
  t.deepEqual(scores('magnitude-l2'), [2, 2 * Math.SQRT2]);
  t.deepEqual(scores('wanda-l1'), [Math.sqrt(5) + 2 * Math.sqrt(5), 7]);
  t.deepEqual(scores('wanda-l2'), [10, 4]);
  // A mean over the group, as FLAP has it.
  t.deepEqual(scores('fluctuation'), [2.5, 1]);
});
