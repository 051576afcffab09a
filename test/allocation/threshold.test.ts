import test from 'ava';
import type { AllocationLayer } from '../../lib/allocation';
import { lowerHull } from '../../lib/choices/hull';
import { widths } from '../../lib/choices/widths';
import {
  budgetOf,
  generator,
  largestStep,
  layerOf,
  now,
  randomCurve,
  randomInt,
  randomLayers,
  removable,
  shuffled,
} from './helpers';

/** Least Σ w E(k) with Σ c k ≥ remove over all allowed counts, by dynamic programming over the budget. */
function bruteForce(layers: AllocationLayer[], remove: number): number {
  let best = new Float64Array(remove + 1).fill(Infinity);
  best[0] = 0;
  for (const { allowed, cost, curve, weight } of layers) {
    const next = new Float64Array(remove + 1).fill(Infinity);
    for (let have = 0; have <= remove; have++) {
      for (const count of allowed) {
        const at = Math.min(remove, have + cost * count);
        next[at] = Math.min(next[at]!, best[have]! + weight * curve![count]!);
      }
    }
    best = next;
  }
  return best[remove]!;
}

function smallLayers(random: () => number): AllocationLayer[] {
  return Array.from({ length: randomInt(random, 1, 5) }, () => {
    const groups = randomInt(random, 3, 14);
    const shape = { groups, cost: randomInt(random, 1, 4), multiple: randomInt(random, 1, 2) };
    const curve = randomCurve(random, groups, random() < 0.3);
    return layerOf({ ...shape, maxShare: 1 }, curve, random() + 0.1);
  });
}

test('the hull of known choices, by weights and not by their number', (t) => {
  const loss = Float64Array.from([0, 3, 4, 5, 9, 14]);
  const freed = Float64Array.from([0, 2, 4, 6, 8, 10]);
  t.deepEqual(lowerHull({ freed, loss }), [
    { from: 0, to: 3, slope: 5 / 6 },
    { from: 3, to: 4, slope: 2 },
    { from: 4, to: 5, slope: 2.5 },
  ]);
  // The last choice takes all that is left at once, as when a site goes as a whole.
  t.deepEqual(lowerHull({ freed: Float64Array.from([0, 2, 4, 40]), loss: loss.subarray(0, 4) }), [
    { from: 0, to: 3, slope: 5 / 40 },
  ]);
  t.deepEqual(lowerHull({ freed: freed.subarray(0, 1), loss: loss.subarray(0, 1) }), []);
});

test('points on a line are one segment', (t) => {
  const loss = Float64Array.from({ length: 30 }, (_, k) => 0.1 * k);
  const hull = lowerHull({ freed: Float64Array.from(loss.keys()), loss });
  t.deepEqual([hull.length, hull[0]!.to], [1, 29]);
});

test('optimal against brute force at every breakpoint of the hull', (t) => {
  const random = generator(2);
  let breakpoints = 0;
  for (let trial = 0; trial < 300; trial++) {
    const layers = smallLayers(random);
    const cuts = layers
      .map(widths)
      .flatMap(({ freed, loss }) =>
        lowerHull({ freed, loss }).map(({ from, to, slope }) => ({
          slope,
          weights: freed[to]! - freed[from]!,
        })),
      )
      .sort((a, b) => a.slope - b.slope);
    let remove = 0;
    for (const { weights, slope } of cuts) {
      remove += weights;
      const result = now.allocateThreshold(layers, budgetOf(layers, remove));
      t.is(result.removedWeights, remove);
      t.true(Math.abs(result.predictedError! / bruteForce(layers, remove) - 1) < 1e-9);
      t.true(Math.abs(result.tau / slope - 1) < 1e-12);
      breakpoints++;
    }
  }
  t.true(breakpoints > 1000);
});

test('between breakpoints: within the last segment of the optimum', (t) => {
  const random = generator(3);
  for (let trial = 0; trial < 300; trial++) {
    const layers = smallLayers(random);
    const remove = randomInt(random, 1, removable(layers));
    const result = now.allocateThreshold(layers, budgetOf(layers, remove));
    const gaps = layers
      .map(widths)
      .flatMap(({ freed, loss }) =>
        lowerHull({ freed, loss }).map(({ from, to }) => loss![to]! - loss![from]!),
      );
    const optimum = bruteForce(layers, remove);
    t.true(result.predictedError! >= optimum * (1 - 1e-9));
    t.true(result.predictedError! <= optimum + Math.max(...gaps) * (1 + 1e-9));
  }
});

test('convex curves: a segment goes if and only if its slope is at most tau', (t) => {
  const random = generator(4);
  for (let trial = 0; trial < 200; trial++) {
    const layers = randomLayers(random, { convex: true });
    const remove = randomInt(random, 1, removable(layers));
    const { removed, tau } = now.allocateThreshold(layers, budgetOf(layers, remove));
    layers.forEach(({ allowed, curve, weight, cost }, l) => {
      const slope = (from: number, to: number) =>
        (weight * (curve![to]! - curve![from]!)) / (cost * (to - from));
      const at = allowed.indexOf(removed[l]!);
      if (at > 0) t.true(slope(allowed[at - 1]!, allowed[at]!) <= tau * (1 + 1e-9));
      if (at + 1 < allowed.length) {
        t.true(slope(allowed[at]!, allowed[at + 1]!) >= tau * (1 - 1e-9));
      }
    });
  }
});

test('budget within one step, counts grow with S, units and order do not matter', (t) => {
  const random = generator(5);
  for (let trial = 0; trial < 300; trial++) {
    const layers = randomLayers(random);
    const amounts = [
      randomInt(random, 0, removable(layers)),
      randomInt(random, 0, removable(layers)),
    ];
    const [less, more] = amounts
      .sort((a, b) => a - b)
      .map((remove) => now.allocateThreshold(layers, budgetOf(layers, remove)));
    const over = more!.removedWeights - amounts[1]!;
    t.true(over >= 0 && over < largestStep(layers));
    t.true(less!.removed.every((count, l) => count <= more!.removed[l]!));

    const scaled = layers.map((layer) => ({ ...layer, curve: layer.curve!.map((e) => 3.7e5 * e) }));
    const again = now.allocateThreshold(scaled, budgetOf(layers, amounts[1]!));
    t.deepEqual(again.removed, more!.removed);

    const order = shuffled(random, layers.length);
    const permuted = now.allocateThreshold(
      order.map((l) => layers[l]!),
      budgetOf(layers, amounts[1]!),
    );
    t.deepEqual(
      [...permuted.removed],
      order.map((l) => more!.removed[l]!),
    );
  }
});

test('equal layers: ties go in the order of the layers', (t) => {
  const curve = Float64Array.from({ length: 11 }, (_, k) => k * k);
  const layers = [0, 1, 2].map(() => layerOf({ groups: 10, cost: 7 }, curve));
  const { removed, tau } = now.allocateThreshold(layers, budgetOf(layers, 7 * 10));
  t.deepEqual([...removed], [4, 3, 3]);
  t.is(tau, 1); // (4² − 3²) / 7
});

test('nothing to remove removes nothing', (t) => {
  const layers = randomLayers(generator(6));
  const { removed, tau } = now.allocateThreshold(layers, budgetOf(layers, 0));
  t.true(removed.every((count) => count === 0));
  t.is(tau, -Infinity);
});

test('apart: each scope meets its own budget', (t) => {
  const random = generator(7);
  const ffn = { groups: 64, cost: 24 };
  const kv = { groups: 4, cost: 200, scope: 'attention' as const };
  const layers = [ffn, kv, ffn, kv].map((shape) =>
    layerOf(shape, randomCurve(random, shape.groups, false)),
  );
  const { removed } = now.allocate(layers, budgetOf(layers, 1174), {
    rule: 'threshold',
    apart: true,
  });
  const removedOf = (scope: string) =>
    layers.reduce((sum, l, i) => sum + (l.scope === scope ? l.cost * removed[i]! : 0), 0);
  // 1174 of 4672 weights: 771.9 of the FFN's 3072 (33 channels), 402.1 of the attention's 1600 (3 heads).
  t.is(removedOf('ffn'), 792);
  t.is(removedOf('attention'), 600);
});

test('curves that are missing, short or not finite are refused', (t) => {
  const layer = layerOf({ groups: 4, cost: 1, maxShare: 1 }, Float64Array.from([0, 1, 2, NaN, 4]));
  const budget = { remove: 1, total: 4 };
  t.throws(() => now.allocateThreshold([layer], budget), { code: 'ERR_NAN' });
  t.throws(() => now.allocateThreshold([{ ...layer, curve: null }], budget), {
    code: 'ERR_INTERNAL',
  });
  const short = { ...layer, curve: Float64Array.from([0, 1]) };
  t.throws(() => now.allocateThreshold([short], budget), { code: 'ERR_INTERNAL' });
  t.throws(() => now.allocateThreshold([layer], { remove: 4, total: 4 }), { code: 'ERR_ARGUMENT' });
});
