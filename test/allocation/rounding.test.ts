import test from 'ava';
import { allowedRemovals, weightsToRemove } from '../../lib/allocation';
import {
  dropLastBits,
  placeAtLeast,
  placeAtMost,
  placeNearest,
} from '../../lib/allocation/rounding';

test('allowed removals leave multiples, the minimum and the largest share', (t) => {
  const bounds = { multiple: 8, minKeep: 8, maxShare: 0.9 };
  t.deepEqual([...allowedRemovals(40, bounds)], [0, 8, 16, 24, 32]);
  t.deepEqual([...allowedRemovals(40, { ...bounds, maxShare: 0.5 })], [0, 8, 16]);
  t.deepEqual([...allowedRemovals(43, { ...bounds, minKeep: 17 })], [0, 3, 11, 19]);
  t.deepEqual([...allowedRemovals(40, { ...bounds, maxRemoved: 17 })], [0, 8, 16]);
  t.deepEqual([...allowedRemovals(3, { multiple: 1, minKeep: 1, maxShare: 1 })], [0, 1, 2]);
  t.deepEqual([...allowedRemovals(3, { multiple: 8, minKeep: 1, maxShare: 1 })], [0]);
  t.is(allowedRemovals(160, { multiple: 1, minKeep: 1, maxShare: 0.9 }).at(-1), 144);
});

test('bounds that mean nothing are refused', (t) => {
  const bounds = { multiple: 8, minKeep: 8, maxShare: 0.9 };
  for (const wrong of [{ multiple: 0 }, { multiple: 1.5 }, { maxShare: 1.1 }, { maxShare: NaN }]) {
    t.throws(() => allowedRemovals(40, { ...bounds, ...wrong }), { code: 'ERR_ARGUMENT' });
  }
});

test('the budget is rounded up, rounding errors of the product apart', (t) => {
  t.is(weightsToRemove(0.2, 106168320), 21233664);
  t.is(weightsToRemove(0.2, 106168321), 21233665);
  t.is(weightsToRemove(0.1, 30), 3); // 0.1 · 30 = 3.0000000000000004
  t.is(weightsToRemove(0, 1000), 0);
  for (const wrong of [-0.1, 1, NaN]) {
    t.throws(() => weightsToRemove(wrong, 10), { code: 'ERR_ARGUMENT' });
  }
});

test('searching an ascending list', (t) => {
  const list = Int32Array.from([0, 3, 11, 19]);
  t.deepEqual(
    [2, 3, 3.5, 20].map((x) => list[placeAtLeast(list, x)]),
    [3, 3, 11, 19],
  );
  t.deepEqual(
    [-1, 2, 3, 20].map((x) => list[placeAtMost(list, x)]),
    [0, 0, 3, 19],
  );
  t.deepEqual(
    [-1, 1, 1.5, 2, 7.1, 30].map((x) => list[placeNearest(list, x)]),
    [0, 0, 0, 3, 11, 19],
  );
});

test('numbers one bit apart become equal', (t) => {
  const x = Math.log(0.3);
  const next = x * (1 + Number.EPSILON);
  t.not(next, x);
  t.is(dropLastBits(next), dropLastBits(x));
  t.true(Math.abs(dropLastBits(x) / x - 1) < 2 ** -40);
});
