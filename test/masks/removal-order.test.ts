import test from 'ava';
import { type Kept, removalOrder, timesMeasured } from '../../lib/masks/removal-order';

const layer = (groups: number, cost: number, most = groups) => ({
  groups,
  cost,
  allowed: Int32Array.from({ length: most + 1 }, (_, k) => k),
});

test('the least importance a weight goes first, of all layers', async (t) => {
  // A weight each: 3, 1, 2 and 0.5, 4; 7 weights of which one step takes less than a group.
  const values = [Float64Array.of(3, 1, 2), Float64Array.of(1, 8)];
  const order = await removalOrder([layer(3, 1), layer(2, 2)], async (kept) =>
    kept.map((groups, at) => Float64Array.from(groups, (g) => values[at]![g]!)),
  );
  const sevenths = order.map((places) => [...places].map((place) => Math.round(7 * place)));
  t.deepEqual(sevenths, [
    [4, 2, 3],
    [0, 5],
  ]);
});

test('importances are measured anew on what is left', async (t) => {
  const seen: number[][] = [];
  const importances = async ([kept]: Kept, nth: number) => {
    t.is(nth, seen.push([...kept!]));
    // The last of those that stay is worth least.
    return [Float64Array.from(kept!, (_, place) => -place)];
  };
  const [order] = await removalOrder([layer(64, 5)], importances);
  t.is(seen.length, 24);
  seen.forEach((kept, i) => {
    t.deepEqual(kept, [...Array(64 - 2 * i).keys()]);
  });
  t.deepEqual(
    [...order!],
    Array.from({ length: 64 }, (_, g) => (63 - g) / 64),
  );
});

test('no more goes than may, and of equal groups the higher index first', async (t) => {
  let measured = 0;
  const layers = [layer(4, 1, 2), layer(4, 1, 1)];
  const order = await removalOrder(layers, async (kept) => {
    measured++;
    return kept.map((groups) => new Float64Array(groups.length));
  });
  t.deepEqual(
    order.map((places) => [...places]),
    [
      [1, 1, 1 / 8, 0],
      [1, 1, 1, 2 / 8],
    ],
  );
  // 3/8 are 12/32.
  t.deepEqual([measured, timesMeasured(layers)], [13, 13]);
});
