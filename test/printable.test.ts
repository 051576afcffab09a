/** Names of strangers in messages, on terminals and in Markdown. */
import test from 'ava';
import { asStruPruneError, StruPruneError } from '../lib/errors';
import { markdown, oneLine, printable, printableJson, shortened } from '../lib/printable';

const TRICKS = '\u001b[31m \u009b31m \u202e \u2066 \u200f \u2028 \u0000 \r';

test('what a terminal would obey is replaced; letters of every script stay', (t) => {
  t.is(printable(TRICKS).replace(/[^\ufffd]/g, '').length, 8);
  t.notRegex(printable(TRICKS), /\p{Cc}|\p{Bidi_Control}/u);
  t.is(printable('a\tb\nשלום مرحبا 日本 é'), 'a\tb\nשלום مرحبا 日本 é');
});

test('JSON keeps every character, none as it is', (t) => {
  const json = printableJson(JSON.stringify({ [TRICKS]: TRICKS }));
  t.notRegex(json, /\p{Cc}|\p{Bidi_Control}/u);
  t.deepEqual(JSON.parse(json), { [TRICKS]: TRICKS });
});

test('long texts end, and say how long they were', (t) => {
  t.is(shortened('x'.repeat(10), 4), 'xxxx… (10 characters)');
  t.is(shortened('xxxx', 4), 'xxxx');
  t.is(oneLine('a\n\n  b\tc'), 'a b c');
});

test('an error holds nothing that a terminal would obey, and ends', (t) => {
  const made = new StruPruneError('ERR_CHECKPOINT', `tensor ${TRICKS}`, `look at ${TRICKS}`);
  t.notRegex(made.message + made.mend, /\p{Cc}|\p{Bidi_Control}/u);
  t.true(made.message.endsWith(`; ${made.mend}`));
  const flood = new StruPruneError('ERR_CHECKPOINT', 'x'.repeat(1e6), 'y'.repeat(1e6));
  t.true(flood.message.length < 5000);
  t.is(flood.message, `${flood.found}; ${flood.mend}`);
  const native = Object.assign(new Error('x'.repeat(1e6)), { code: 'ERR_NAN', mend: 'wait' });
  t.true(asStruPruneError(native).message.length < 5000);
});

test('Markdown takes a text as it is', (t) => {
  t.is(markdown('a | b'), 'a \\| b');
  t.is(
    markdown('<img src=x> &amp; `code` [a](b) ~~c~~ *d* __e__ $f$'),
    '\\<img src=x\\> \\&amp; \\`code\\` \\[a\\](b) \\~\\~c\\~\\~ \\*d\\* \\_\\_e\\_\\_ \\$f\\$',
  );
  t.is(markdown('load_in_8bit=True\n# no heading'), 'load_in_8bit=True # no heading');
});
