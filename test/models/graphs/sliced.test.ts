import test from 'ava';

import { MemorySource } from '../../../lib/models/graphs/onnx/source';
import { Sliced } from '../../../lib/models/graphs/sliced';

const every = (size: number) => Array.from({ length: size }, (_, i) => i);
const odd = (size: number) => every(size).filter((i) => i % 2 === 1);

/** Element by element. */
function wanted(dims: number[], kept: number[][]): number[] {
  let starts = [0];
  kept.forEach((positions, axis) => {
    starts = starts.flatMap((start) => positions.map((i) => start * dims[axis]! + i));
  });
  return starts;
}

const cases: [what: string, dims: number[], kept: number[][]][] = [
  ['nothing is gone', [3, 4], [every(3), every(4)]],
  ['rows', [5, 3], [[0, 3, 4], every(3)]],
  ['columns', [4, 7], [every(4), [1, 2, 6]]],
  ['rows and columns of kernels', [4, 6, 3, 3], [[0, 2], odd(6), every(3), every(3)]],
  ['a middle axis', [2, 5, 4], [every(2), [0, 4], every(4)]],
  ['long rows, which are read one by one', [6, 2000], [odd(6), every(2000)]],
  ['long rows on two axes', [3, 4, 1200], [[0, 2], odd(4), every(1200)]],
  ['all but one', [9], [[8]]],
];

for (const [what, dims, kept] of cases) {
  test(what, (t) => {
    const whole = Int32Array.from(every(dims.reduce((a, b) => a * b)));
    const source = new MemorySource(new Uint8Array(whole.buffer));
    const sliced = new Sliced(source, dims, kept, 4);
    const expected = new Uint8Array(Int32Array.from(wanted(dims, kept)).buffer);
    t.is(sliced.length, expected.length);
    t.deepEqual(sliced.read(0, sliced.length), expected);
    for (let at = 0; at < sliced.length; at += 13) {
      const length = Math.min(13, sliced.length - at);
      t.deepEqual(sliced.read(at, length).slice(), expected.slice(at, at + length));
    }
  });
}
