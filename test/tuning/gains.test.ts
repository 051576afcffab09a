import test from 'ava';
import { partingOf } from '../../lib/tuning/gains';

const parting = (trained: number, heldOut: number) =>
  partingOf({ before: { trained: 0.5, heldOut: 0.8 }, after: { trained, heldOut } });

test('a gain on trained windows that others have less than half of is told', (t) => {
  t.regex(parting(0.4, 0.73)!, /20\.0 % off .* trained on, and 8\.8 % off .* held out/);
  t.regex(parting(0.4, 0.82)!, /and -2\.5 % off/);
});

test('gains of one size are not, nor is none', (t) => {
  for (const [trained, heldOut] of [
    [0.4, 0.7],
    [0.45, 0.6],
    [0.5, 0.8],
  ] as const) {
    t.is(parting(trained, heldOut), null);
  }
  const none = { trained: 0, heldOut: 0 };
  t.is(partingOf({ before: none, after: none }), null);
});
