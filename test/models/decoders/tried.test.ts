/** Which layers are tried out, and what an error of the others costs. */
import test from 'ava';
import { triedLayers } from '../../../lib/models/decoders/tried';
import type { Layer } from '../../../lib/spec/widths';
import { pricesOf } from '../../../lib/stages/curves';

test('of FFNs inside every third is tried out, of attention all', (t) => {
  const layers = layersOf(12);
  const ffns = [...triedLayers(layers)].filter(({ site }) => site === 'ffn');
  t.deepEqual(
    ffns.map(({ block }) => block),
    [0, 1, 2, 5, 8, 9, 10, 11],
  );
  t.is(triedLayers(layers).size, 12 + 8);
  t.is(triedLayers(layersOf(6)).size, 12);
  const experts = layersOf(12).map((layer) => ({ ...layer, site: 'experts' }));
  t.is(triedLayers(experts).size, 24);
});

test('a price between two others is their geometric mean by distance', (t) => {
  const layers = layersOf(4);
  const { NaN: none } = Number;
  // Attention and FFN in turn.
  const prices = pricesOf(layers, [5, 8, none, none, 20, none, 40, 1]);
  const expected = [5, 8, 10, 4, 20, 2, 40, 1];
  for (const [at, price] of prices.entries()) t.true(Math.abs(price - expected[at]!) < 1e-12);
});

test('a layer that loses nothing says nothing of its neighbours', (t) => {
  const layers = layersOf(4).filter(({ site }) => site === 'ffn');
  const { NaN: none } = Number;
  t.deepEqual(pricesOf(layers, [3, none, 0, none]), [3, 3, 0, 3]);
  t.deepEqual(pricesOf(layers, [0, none, none, 7]), [0, 7, 7, 7]);
  t.deepEqual(pricesOf(layers, [0, none, none, 0]), [0, 0, 0, 0]);
});

function layersOf(blocks: number): Layer[] {
  return Array.from({ length: blocks }, (_, block) =>
    ['attention', 'ffn'].map((site) => ({ block, site }) as Layer),
  ).flat();
}
