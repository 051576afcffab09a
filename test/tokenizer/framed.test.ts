/** Windows of encoders against Rust's `tokenizers` (scripts/oracles/make-encoder-fixtures.py). */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import test from 'ava';
import type { StruPruneError } from '../../lib/errors';
import { inThread } from '../../lib/tokenizer';
import { framedWindows } from '../../lib/tokenizer/framed';
import { precompiled } from '../../lib/tokenizer/precompiled';
import { encoderOf } from '../../lib/tokenizer/tokenizer';
import { unigramSteps } from '../../lib/tokenizer/unigram';

const FIXTURES = join(__dirname, 'encoders');
const NAMES = readdirSync(FIXTURES);

interface Expected {
  around: [before: number[], after: number[]];
  ids: Record<string, number[]>;
}

const expectedOf = (name: string): Expected =>
  JSON.parse(readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8'));

test('the fixtures are of all models, and of every kind of frame', (t) => {
  t.deepEqual(NAMES, ['bare', 'cased', 'roberta', 'uncased', 'xlm-r', 'xlm-r-newer']);
});

for (const name of NAMES) {
  test(`${name}: a text becomes the ids of Rust, between the tokens around it`, (t) => {
    const { around, ids } = expectedOf(name);
    const [before, after] = around;
    const length = before.length + after.length;
    t.is(length, 2);
    for (const [text, wanted] of Object.entries(ids)) {
      if (wanted.length === 0) continue;
      const window = wanted.length + length;
      const options = { folder: join(FIXTURES, name), window, most: 3 };
      const found = framedWindows({ parts: [text], ...options });
      t.deepEqual([...found], [...before, ...wanted, ...after], text);
    }
  });
}

test('a long text is cut into windows, whatever the parts that it comes in', async (t) => {
  const folder = join(FIXTURES, 'uncased');
  const sentence = 'The river rises in the hills, and runs for 120 miles to the sea.\n';
  const text = sentence.repeat(2000);
  const windows = (parts: string[]) => framedWindows({ parts, folder, window: 32, most: 100 });
  const whole = windows([text]);
  t.is(whole.length, 100 * 32);
  const [[cls], [sep]] = expectedOf('uncased').around as [[number], [number]];
  for (let i = 0; i < whole.length; i += 32) t.deepEqual([whole[i], whole[i + 31]], [cls, sep]);
  t.deepEqual(windows(text.match(/[\s\S]{1,1000}/g)!), whole);
  const work = mkdtempSync(join(tmpdir(), 'struprune-framed-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const path = join(work, 'text.txt');
  writeFileSync(path, text);
  const job = { source: { kind: 'folder', folder } as const, path, window: 32, most: 100 };
  t.deepEqual(await inThread('windows', job), whole);
});

test('what makes no windows is refused', (t) => {
  const folder = join(FIXTURES, 'uncased');
  const refused = (more: object, code: string, message: RegExp) =>
    t.throws(() => framedWindows({ parts: ['the sea'], folder, window: 32, most: 1, ...more }), {
      code,
      message,
    });
  refused({}, 'ERR_TEXT', /has \d tokens, fewer than a window of 30/);
  refused({ window: 2 }, 'ERR_ARGUMENT', /no room between the tokenizer's own/);
  const work = mkdtempSync(join(tmpdir(), 'struprune-framed-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const changed = (name: string, from: string, to: string) => {
    const other = join(work, name);
    cpSync(folder, other, { recursive: true });
    const path = join(other, 'tokenizer.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
    return { folder: other };
  };
  refused(changed('a', 'BertPreTokenizer', 'Whitespace'), 'ERR_UNSUPPORTED', /not as BERT's: pre_/);
  refused(
    changed('b', '"unk_token": "[UNK]"', '"unk_token": "?"'),
    'ERR_TOKENIZER',
    /unknown token/,
  );
  refused({ folder: work }, 'ERR_NOT_FOUND', /neither tokenizer\.json/);
});

test("XLM-R's own table of replacements meets texts of all planes as Rust's does", (t) => {
  const packed = readFileSync(join(__dirname, 'nmt-nfkc.json.gz'));
  const { tokenizer, ids } = JSON.parse(gunzipSync(packed).toString('utf8'));
  const encodePiece = encoderOf(tokenizer.added_tokens, unigramSteps(tokenizer, 'nmt-nfkc'));
  const texts = Object.entries(ids as Record<string, number[]>);
  t.true(texts.length > 590);
  for (const [text, wanted] of texts) t.deepEqual(encodePiece(text), wanted, JSON.stringify(text));
});

test("a Unigram tokenizer that is not as XLM-R's is refused, and a damaged table is named", (t) => {
  const json = JSON.parse(readFileSync(join(FIXTURES, 'xlm-r', 'tokenizer.json'), 'utf8'));
  const changed = (change: (copy: typeof json) => void) => {
    const copy = structuredClone(json);
    change(copy);
    return () => unigramSteps(copy, 'folder');
  };
  const refused = (at: RegExp, change: (copy: typeof json) => void) =>
    t.throws(changed(change), { code: 'ERR_UNSUPPORTED', message: at });
  refused(/XLM-R's: normalizer\.0\.type/, (copy) => {
    copy.normalizer = { type: 'NFKC' };
  });
  refused(/pre_tokenizer\.0\.type/, (copy) => {
    copy.pre_tokenizer = { type: 'BertPreTokenizer' };
  });
  refused(/model\.unk_id/, (copy) => {
    copy.model.unk_id = copy.model.vocab.length;
  });
  const table = Buffer.from(json.normalizer.normalizers[0].precompiled_charsmap, 'base64');
  t.throws(() => precompiled(table.subarray(0, 40).toString('base64')), { code: 'ERR_TOKENIZER' });
  let named = 0;
  for (let seed = 0; seed < 500; seed++) {
    const bytes = Buffer.from(table);
    for (let i = 0; i < 8; i++)
      bytes[(seed * 7919 + i * 104_729) % bytes.length]! ^= 1 << (seed % 8);
    try {
      precompiled(bytes.toString('base64'))('A river e\u0301, \ufb01nd \u00bd\n\u3000');
    } catch (error) {
      t.is((error as StruPruneError).code, 'ERR_TOKENIZER');
      named++;
    }
  }
  t.true(named > 5 && named < 495, `${named} of 500`);
});
