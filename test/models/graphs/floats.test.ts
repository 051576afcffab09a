/** Floats of 16 bits: IEEE 754 binary16, against a search among all of them. */
import test from 'ava';
import { narrowed, widened } from '../../../lib/models/graphs/onnx/floats';

const every = widened(Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits));

test('floats of 16 bits are those of the standard', (t) => {
  const known = [
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x3c00, 1],
    [0x3c01, 1 + 2 ** -10],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
  ];
  for (const [bits, value] of known) t.is(every[bits!], value);
  t.true(Object.is(every[0x8000], -0));
  t.true(Number.isNaN(every[0x7e00]) && Number.isNaN(every[0xffff]));
});

test('each of them stays what it is', (t) => {
  const back = narrowed(every);
  const changed = [...back.keys()].filter(
    (bits) => back[bits] !== bits && !Number.isNaN(every[bits]),
  );
  t.deepEqual(changed, []);
  t.true(
    [...back.keys()].every((bits) => !Number.isNaN(every[bits]) || (back[bits]! & 0x7fff) > 0x7c00),
  );
});

test('others become the nearest, of two as near the even one', (t) => {
  const positive = every.slice(0, 0x7c01);
  // Behind the largest one the next would be 2^16.
  positive[0x7c00] = 65536;
  const values: number[] = [0, 1e-9, 65519, 65520, 1e6, 65504.5];
  for (let bits = 0; bits < 0x7c00; bits += 7) {
    const [low, high] = [positive[bits]!, positive[bits + 1]!];
    const middle = (low + high) / 2;
    values.push(middle, Math.fround(middle * (1 + 2 ** -20)), Math.fround(middle * (1 - 2 ** -20)));
  }
  const found = narrowed(Float32Array.from(values));
  const negative = narrowed(Float32Array.from(values, (value) => -value));
  values.forEach((value, i) => {
    const above = positive.findIndex((each) => each >= Math.min(value, 65536));
    const below = Math.max(0, above - 1);
    const gaps = [value - positive[below]!, positive[above]! - value];
    const isUp = gaps[1]! < gaps[0]! || (gaps[1] === gaps[0] && above % 2 === 0);
    const nearest = isUp || value > 65536 ? above : below;
    t.is(found[i], nearest, `${value}`);
    t.is(negative[i], nearest | 0x8000);
  });
});
