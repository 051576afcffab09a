import test from 'ava';
import { FirstOf } from '../../lib/allocation/first-of';
import { generator, randomInt } from './helpers';

test('the first of growing keys is the smallest, of equal ones the one with the smallest index', (t) => {
  const random = generator(11);
  for (let trial = 0; trial < 200; trial++) {
    // Few values, so that many keys are equal; some lists have come to their end.
    const key = () => (random() < 0.1 ? Infinity : randomInt(random, 0, 4));
    const keys = Float64Array.from({ length: randomInt(random, 1, 20) }, key);
    const first = new FirstOf(keys);
    for (let step = 0; step < 60; step++) {
      const expected = keys.indexOf(Math.min(...keys));
      t.is(first.index, expected);
      keys[expected]! += key();
      first.changed();
    }
  }
});
