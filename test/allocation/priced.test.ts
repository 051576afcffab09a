/** Layers whose widths are priced in time. */
import test from 'ava';
import type { AllocationLayer } from '../../lib/allocation';
import { now } from './helpers';

const GROUPS = 10;

/** Of ten groups of four weights, each of which spares so many nanoseconds; the same curve everywhere. */
function layer(nanoseconds: number): AllocationLayer {
  const allowed = Int32Array.from({ length: GROUPS }, (_, i) => i);
  const curve = Float64Array.from({ length: GROUPS + 1 }, (_, k) => k * k);
  const freed = Float64Array.from(allowed, (count) => count * nanoseconds);
  const priced = { freed, whole: GROUPS * nanoseconds };
  return { scope: 'ffn', groups: GROUPS, cost: 4, allowed, curve, weight: 1, priced };
}

const budget = (remove: number) => ({
  remove,
  total: 80,
  counted: { unit: 'nanoseconds', now: 1000, each: 1, keep: 1000 - remove } as const,
});

test('the layer that spares more time for the same loss gives up more, at the least loss of all', (t) => {
  const layers = [layer(30), layer(10)];
  const found = now.allocateThreshold(layers, budget(130));
  const [a, b] = [...found.removed] as [number, number];
  t.true(30 * a + 10 * b >= 130);
  t.true(a > b);
  t.is(found.removedWeights, 4 * (a + b));
  // By trying every pair.
  const all = Array.from({ length: 100 }, (_, i) => [i % 10, Math.floor(i / 10)] as const);
  const losses = all
    .filter(([x, y]) => 30 * x + 10 * y >= 130)
    .map(([x, y]) => x * x + y * y)
    .sort((x, y) => x - y);
  t.is(found.predictedError, losses[0]!);
});

test('every rule meets the time', (t) => {
  const layers = [layer(30), layer(10), layer(20)];
  for (const rule of ['uniform', 'threshold', 'energy'] as const) {
    const { removed, removedWeights } = now.allocate(layers, budget(200), { rule });
    const time = 30 * removed[0]! + 10 * removed[1]! + 20 * removed[2]!;
    t.true(time >= 200 && time < 260, `${rule}: ${time}`);
    t.is(removedWeights, 4 * removed.reduce((sum, count) => sum + count, 0));
  }
});

test('a time that nothing reaches names the speed that is possible', (t) => {
  // 9 of 10 groups may go: 270 of 1000.
  t.throws(() => now.allocateThreshold([layer(30)], budget(500)), {
    message:
      /is 2\.000 times as fast, but .* let it be 1\.369 times; ask for at most targetSpeed 1\.369/,
  });
});
