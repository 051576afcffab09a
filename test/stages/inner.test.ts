/** Ranks beside widths: which rounds of the rule count. */
import test from 'ava';

import type { PlacedLayer } from '../../lib/allocation/own';
import type { Layer } from '../../lib/spec/widths';
import { allocateBy } from '../../lib/stages/allocate';
import { allocateWithInner } from '../../lib/stages/inner';

/** A map of `[10, 10]` whose outputs are units (of 10 weights each), and its rank. */
const layer = (groups: number, weight: number, curve: number[]): PlacedLayer => ({
  ...{ block: 0, scope: 'ffn', groups, weight },
  cost: 10,
  allowed: Int32Array.from(curve.keys()),
  curve: Float64Array.from(curve),
});

const WIDTHS = layer(10, 1, [0, 1, 2, 3, 4, 5, 6, 7, 8]);

/** Two maps of rank 10 − k take (10 − k) · (10 + units left). */
function ranked(price: number) {
  const rank = layer(10, price, [0, 0, 0, 0, 0, 0, 1, 2, 3]);
  const counts = [0, 6, 7, 8];
  const pricedBeside = (removed: Int32Array): Layer[] =>
    [WIDTHS, rank].map((each, at) => {
      const one = { ...each, block: at, site: 'ffn', groupSize: 1 };
      if (at === 0) return one;
      const left = 10 - removed[0]!;
      const freed = (count: number) => (count === 0 ? 0 : 10 * left - (10 - count) * (10 + left));
      const less = counts.filter((count) => count === 0 || freed(count) > 0);
      return {
        ...one,
        allowed: Int32Array.from(less),
        priced: { freed: Float64Array.from(less, freed), whole: 10 * left },
      };
    });
  const freed = (removed: Int32Array) => {
    const left = 10 - removed[0]!;
    return 100 - Math.min(10 * left, (10 - removed[1]!) * (10 + left));
  };
  return { rank, pricedBeside, freed };
}

async function allocated(price: number, remove: number) {
  const { rank, pricedBeside, freed } = ranked(price);
  const [, dense] = pricedBeside(Int32Array.of(0, 0));
  const { allowed, priced } = dense!;
  const layers = [WIDTHS, { ...rank, allowed, priced }];
  const keep = 100 - remove;
  const counted = { unit: 'weights', now: 100, each: 1, keep, freed } as const;
  const found = await allocateWithInner({
    layers,
    budget: { remove, total: 100, counted },
    inner: { at: new Set([1]), beside: pricedBeside },
    allocate: (offered, budget) => allocateBy({ rule: 'threshold' }, offered, budget),
  });
  if (freed(found.removed) < remove) throw new Error('the budget is not met');
  return found;
}

test('a cheap rank takes the place of widths', async (t) => {
  const { removed, predictedError } = await allocated(0.1, 20);
  t.deepEqual([...removed], [0, 6]);
  t.is(predictedError, 0.1);
});

test('a dear one does not', async (t) => {
  const { removed, predictedError } = await allocated(100, 20);
  t.deepEqual([...removed], [2, 0]);
  t.is(predictedError, 2);
});

test('beside widths a rank is weighed by what it saves there, and one that saves nothing stays', async (t) => {
  const both = await allocated(0.1, 74);
  t.deepEqual([...both.removed], [7, 8]);
  t.true(Math.abs(both.predictedError! - 7.3) < 1e-12);
  // With 8 of 10 units gone two maps are more than one, of whatever rank.
  const widths = await allocated(1e-9, 80);
  t.deepEqual([...widths.removed], [8, 0]);
  t.is(widths.predictedError, 8);
});
