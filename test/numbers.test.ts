import test from 'ava';
import { change } from '../lib/numbers';

test('a change has its sign once, whichever way it goes', (t) => {
  t.deepEqual([change(4, 3), change(4, 5), change(4, 4)], ['-25.0 %', '+25.0 %', '+0.0 %']);
});
