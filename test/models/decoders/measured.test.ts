import test from 'ava';
import { ruinWarning, unfitWarning } from '../../../lib/models/decoders/measured';

test('a perplexity that more than doubles is warned of', (t) => {
  t.is(ruinWarning(10, 20), null);
  t.is(ruinWarning(null, 20), null);
  t.regex(ruinWarning(10, 25)!, /2\.5 times what it was/);
});

test('a text that the dense model does worse on than a guess is warned of', (t) => {
  t.is(unfitWarning(20_480, 2048), null);
  t.is(unfitWarning(null, 2048), null);
  t.regex(unfitWarning(604_419.4, 2048)!, /perplexity of 604,419 .* its 2,048 tokens/);
});
