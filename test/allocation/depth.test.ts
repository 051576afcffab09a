/** Whole layers as choices beside widths. */
import test from 'ava';
import { choicesFor } from '../../lib/choices';
import { lowerHull } from '../../lib/choices/hull';
import { layerOf, now } from './helpers';

/** Four groups of two weights, of which three may go: losses 1, 3, 9. */
const layer = layerOf({ groups: 4, cost: 2, maxShare: 0.75 }, Float64Array.of(0, 1, 3, 9, 99));

test('a whole layer is the last choice, with a price of its own', (t) => {
  const { removed, freed, loss } = choicesFor({ ...layer, gone: 4 }, 0);
  t.deepEqual([...removed], [0, 1, 2, 3, 4]);
  t.deepEqual([...freed], [0, 2, 4, 6, 8]);
  // Not what the curve would say of a layer without groups.
  t.deepEqual([...loss!], [0, 1, 3, 9, 4]);
  t.deepEqual([...choicesFor(layer, 0).removed], [0, 1, 2, 3]);
});

test('its hull leaves widths out that cost more a weight than the whole does', (t) => {
  const ends = (gone: number) => lowerHull(choicesFor({ ...layer, gone }, 0)).map(({ to }) => to);
  // Slopes to the first width 1/2, to the whole gone/8.
  t.deepEqual(ends(3.9), [4]);
  t.deepEqual(ends(5), [1, 4]);
  t.deepEqual(ends(30), [1, 2, 3, 4]);
});

test('the threshold takes a whole layer where that is cheapest, and widths where it is not', (t) => {
  const other = layerOf(
    { groups: 8, cost: 1 },
    Float64Array.from({ length: 9 }, (_, k) => k),
  );
  const removedWith = (gone: number, remove: number) => {
    const layers = [{ ...layer, gone }, other];
    return [...now.allocate(layers, { remove, total: 16 }, { rule: 'threshold' }).removed];
  };
  t.deepEqual(removedWith(3.9, 8), [4, 0]);
  t.deepEqual(removedWith(5, 8), [4, 0]);
  t.deepEqual(removedWith(99, 8), [2, 4]);
  // Less is asked for than the layer has: the width that suffices.
  t.deepEqual(removedWith(3.9, 3), [2, 0]);
});
