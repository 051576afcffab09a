/** Which whole layers go, with prices that change as others go. */
import test from 'ava';
import type { Budget } from '../../lib/allocation';
import type { PlacedLayer } from '../../lib/allocation/own';
import { allocateBy } from '../../lib/stages/allocate';
import { allocateWithDepth } from '../../lib/stages/depth';

/** Three layers of four groups of ten weights, whose widths cost 1 a group. */
const LAYERS: PlacedLayer[] = [0, 1, 2].map((block) => ({
  ...{ block, scope: 'ffn', groups: 4, cost: 10, weight: 1 },
  allowed: Int32Array.of(0, 1, 2, 3),
  curve: Float64Array.of(0, 1, 2, 3, 4),
}));

/** `price` of every layer once those have gone. */
async function run(price: (gone: readonly number[]) => (number | null)[], budget: Budget) {
  const asked: (readonly number[])[] = [];
  const budgets: Budget[] = [];
  const result = await allocateWithDepth({
    layers: LAYERS,
    budget,
    prices: async (gone) => {
      asked.push(gone);
      return price(gone);
    },
    allocate: async (layers, missing) => {
      budgets.push(missing);
      return allocateBy({ rule: 'threshold' }, layers, missing);
    },
  });
  return { ...result, asked, budgets };
}

const TOTAL = 120;

test('layers that stand in for each other do not both go', async (t) => {
  // Each alone costs little; the second of them what both did.
  const prices = (gone: readonly number[]) => (gone.length === 0 ? [0.3, 0.2, 9] : [8, null, 9]);
  const { allocation, gone, asked } = await run(prices, { remove: 80, total: TOTAL });
  t.deepEqual(asked, [[], [1]]);
  t.deepEqual([...gone], [[1, 0.2]]);
  t.is(allocation.removed[1], 4);
  t.is(allocation.removedWeights, 80);
  t.deepEqual([...allocation.sparsities].sort(), [0.25, 0.75, 1]);
  // Four groups at 1, and the layer.
  t.is(allocation.predictedError!.toFixed(9), '4.200000000');
});

test('the cheapest for its weights goes first, then what the others cost without it', async (t) => {
  const prices = (gone: readonly number[]) => (gone.length === 0 ? [0.2, 0.3, 9] : [null, 0.4, 9]);
  const { allocation, gone, asked, budgets } = await run(prices, { remove: 80, total: TOTAL });
  t.deepEqual(asked, [[], [0], [0, 1]]);
  t.deepEqual(
    [...gone],
    [
      [0, 0.2],
      [1, 0.4],
    ],
  );
  t.deepEqual([...allocation.removed], [4, 4, 0]);
  t.deepEqual(
    budgets.map(({ remove }) => remove),
    [80, 40, 0],
  );
});

test('what may not go as a whole keeps its widths', async (t) => {
  const { allocation, gone } = await run(() => [null, null, null], { remove: 80, total: TOTAL });
  t.is(gone.size, 0);
  t.true(allocation.removed.every((count) => count < 4));
  t.is(allocation.removedWeights, 80);
});

test('a target in bytes counts those of what went', async (t) => {
  const counted = { unit: 'bytes', now: 500, keep: 340, each: 1 } as const;
  // A group of the first layer has 30 bytes, of the others 10: 160 have to go.
  const perGroup = [30, 10, 10];
  const freed = (removed: Int32Array) =>
    removed.reduce((sum, count, at) => sum + count * perGroup[at]!, 0);
  const budget = { remove: 160, total: TOTAL, counted: { ...counted, freed } };
  const { allocation, budgets } = await run(() => [0.1, 9, 9], budget);
  // Of those that stay, beside what went.
  t.is(budgets[1]!.counted!.freed!(Int32Array.of(1, 2)), 120 + 30);
  const bytes = freed(allocation.removed);
  t.true(bytes >= 160 && bytes < 170);
  t.is(allocation.removed[0], 4);
});
