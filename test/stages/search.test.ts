import test from 'ava';
import type { Site } from '../../lib/model/sublayers';
import { steppedLayers } from '../../lib/stages/search';

const blocks = (count: number, sites: readonly Site[]) =>
  Array.from({ length: count }, () => sites.map((scope) => ({ scope }))).flat();

test('a round prices all layers, or of many of each site every so-many-th', (t) => {
  t.deepEqual(steppedLayers(blocks(2, ['attention', 'ffn'])), [0, 2, 1, 3]);
  t.is(steppedLayers(blocks(32, ['attention', 'ffn'])).length, 64);
  const many = steppedLayers(blocks(80, ['attention', 'ffn']));
  t.deepEqual(many.slice(0, 3), [0, 6, 12], 'attention of every third block');
  t.is(many.length, 54);
  t.true(many.includes(1) && !many.includes(3));
});
