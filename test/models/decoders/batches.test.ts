/** Which trials run on together, and whose they are. */
import test from 'ava';
import {
  batchEnds,
  ownersOf,
  shareOfTrials,
  stepsFrom,
  TOGETHER,
} from '../../../lib/models/decoders/batches';
import type { Layer } from '../../../lib/spec/widths';

test('trials run on when the next block could start too many, and after the last block', (t) => {
  const both = [0, 1, 2, 3, 4, 5].flatMap((block) => [block, block]);
  t.deepEqual(batchEnds(layersIn(...both), 6), [3, 5]);
  t.deepEqual(batchEnds(layersIn(...both), 9), [3, 8]);
  t.deepEqual(batchEnds(layersIn(0, 1, 2, 3, 4, 5, 6, 7, 8), 9), [7, 8]);
  t.deepEqual(batchEnds(layersIn(0, 1, 2, 3, 4, 5, 6, 7, 8, 8), 9), [7, 8]);
  t.deepEqual(batchEnds(layersIn(0, 1, 2, 3, 4, 5, 6, 7, 7), 8), [6, 7]);
  t.deepEqual(batchEnds(layersIn(2), 4), [3]);
  t.deepEqual(batchEnds([], 4), []);
});

test('the longest goes first, to whoever has least', (t) => {
  t.deepEqual(ownersOf([9, 7, 5, 3, 1], 2), [0, 1, 1, 0, 0]);
  t.deepEqual(ownersOf([1, 3, 9], 2), [1, 1, 0]);
  t.deepEqual(ownersOf([4, 4, 4, 4], 3), [0, 1, 2, 0]);
  t.deepEqual(ownersOf([2, 1], 3), [0, 1]);
  t.deepEqual(ownersOf([5, 4], 1), [0, 0]);
});

test('every batch is the share of one rank, whole', (t) => {
  const blocks = 30;
  const layers = layersIn(...Array.from({ length: blocks }, (_, block) => [block, block]).flat());
  const ends = batchEnds(layers, blocks);
  for (const size of [1, 2, 3, 8, 11]) {
    const shares = Array.from({ length: size }, (_, rank) =>
      shareOfTrials(layers, blocks, { rank, size }),
    );
    const sorted = (numbers: number[]) => numbers.sort((a, b) => a - b);
    t.deepEqual(sorted(shares.flatMap((share) => share.ends)), ends);
    t.deepEqual(
      sorted(shares.flatMap((share) => share.layers.map((layer) => layers.indexOf(layer)))),
      [...layers.keys()],
    );
    for (const share of shares) {
      const batchOf = ({ block }: Layer) => ends.find((end) => block <= end)!;
      t.deepEqual([...new Set(share.layers.map(batchOf))], share.ends);
      t.true(share.layers.length <= TOGETHER * share.ends.length);
      t.is(
        share.steps,
        share.ends.reduce((sum, end) => sum + stepsFrom(end + 1, blocks), 0),
      );
    }
  }
});

test('layers that are not tried out go with the batch around them, and weigh nothing', (t) => {
  const blocks = 12;
  const layers = layersIn(...Array.from({ length: blocks }, (_, block) => block));
  const tried = ({ block }: Layer) => block < 2 || block > 9 || block % 3 === 0;
  const ends = batchEnds(layers.filter(tried), blocks);
  const shares = [0, 1].map((rank) => shareOfTrials(layers, blocks, { rank, size: 2 }, tried));
  t.deepEqual(
    shares.flatMap((share) => share.ends).sort((a, b) => a - b),
    ends,
  );
  t.deepEqual(
    shares.flatMap((share) => share.layers.map(({ block }) => block)).sort((a, b) => a - b),
    [...layers.keys()],
  );
});

function layersIn(...blocks: number[]): Layer[] {
  return blocks.map((block) => ({ block }) as Layer);
}
