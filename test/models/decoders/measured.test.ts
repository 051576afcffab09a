import test from 'ava';
import { type Growth, growthWarnings, unfitWarning } from '../../../lib/models/decoders/measured';

const growth = (measured: number, more: Partial<Growth> = {}): Growth => ({
  measured,
  heldOut: true,
  calibrated: null,
  ...more,
});

test('a perplexity that more than doubles is warned of', (t) => {
  t.deepEqual(growthWarnings(growth(2)), []);
  const [warning, ...others] = growthWarnings(growth(2.5));
  t.regex(warning!, /2\.5 times what it was/);
  t.deepEqual(others, []);
});

test('a text that was learnt by heart is warned of, where other windows of it say so', (t) => {
  const calibrated = { times: 1.1, tokens: 4096 };
  const [warning] = growthWarnings(growth(1.22, { calibrated }));
  t.regex(warning!, /is 1\.10 times what it was, that of the others 1\.22 times: more of it/);
  t.is(growthWarnings(growth(2.5, { calibrated })).length, 2);
  const quiet: Growth[] = [
    growth(1.22, { calibrated, heldOut: false }),
    growth(1.2, { calibrated }),
    growth(1.22),
    growth(1.22, { calibrated: { times: 1.1, tokens: 1024 } }),
    growth(1.04, { calibrated: { times: 1, tokens: 4096 } }),
  ];
  for (const one of quiet) t.deepEqual(growthWarnings(one), []);
});

test('a text that the dense model does worse on than a guess is warned of', (t) => {
  t.is(unfitWarning(20_480, 2048), null);
  t.is(unfitWarning(null, 2048), null);
  t.regex(unfitWarning(604_419.4, 2048)!, /perplexity of 604,419 .* its 2,048 tokens/);
});
