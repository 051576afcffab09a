import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { loadTokenizer, tokenize } from '../../lib/tokenizer';

const folder = mkdtempSync(join(tmpdir(), 'struprune-file-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const fixture = join(__dirname, 'fixtures', 'smollm');
const source = { kind: 'folder', folder: fixture } as const;
const { texts, ids } = JSON.parse(readFileSync(join(fixture, 'expected.json'), 'utf8')) as {
  texts: string[];
  ids: number[][];
};

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('ids of a file from a worker thread, whole and the first ones', async (t) => {
  const path = file('text.txt', texts[5]!);
  t.deepEqual(Array.from(await tokenize(source, path)), ids[5]!);
  t.deepEqual(Array.from(await tokenize(source, path, { maxTokens: 3 })), ids[5]!.slice(0, 3));
});

test('errors come out of the thread as they were thrown', async (t) => {
  const empty = await t.throwsAsync(tokenize(source, file('empty.txt', '')));
  t.like(empty, { code: 'ERR_TEXT', name: 'StruPruneError' });
  t.regex(empty.message, /empty\.txt is empty; give a file with text$/);
  const latin = await t.throwsAsync(
    tokenize(source, file('latin.txt', Buffer.from('\xe9', 'latin1'))),
  );
  t.like(latin, { code: 'ERR_TEXT' });
  t.regex(latin.message, /offset 0/);
  const none = await t.throwsAsync(tokenize(source, join(folder, 'none.txt')));
  t.like(none, { code: 'ERR_NOT_FOUND' });
  const lost = { kind: 'folder', folder } as const;
  const noTokenizer = await t.throwsAsync(tokenize(lost, file('a.txt', 'a')));
  t.like(noTokenizer, { code: 'ERR_NOT_FOUND' });
});

test('a file with nothing but a byte order mark is empty', async (t) => {
  const error = await t.throwsAsync(tokenize(source, file('bom.txt', '\ufeff')));
  t.like(error, { code: 'ERR_TEXT' });
});

test('no more of a file is read than the wanted ids need', async (t) => {
  const start = 'The river rises in the hills. '.repeat(10_000);
  const path = file('tail.txt', Buffer.concat([Buffer.from(start), Buffer.from([0xff])]));
  const first = await tokenize(source, path, { maxTokens: 1000 });
  t.deepEqual(first, loadTokenizer(source).encode(start).slice(0, 1000));
  t.like(await t.throwsAsync(tokenize(source, path)), { code: 'ERR_TEXT' });
});

test('text that cannot be cut is refused under a budget, and read without one', async (t) => {
  const path = file('letters.txt', 'a'.repeat(100_000));
  const refused = await t.throwsAsync(tokenize(source, path, { bounded: true }));
  t.like(refused, { code: 'ERR_TEXT' });
  t.regex(refused.message, /no place in \d+ characters .*leave memory out/);
  const ids = await tokenize(source, path);
  t.is(loadTokenizer(source).decode(ids).length, 100_000);
  const short = file('short.txt', `${'a'.repeat(40_000)} `.repeat(5));
  const whole = await tokenize(source, short);
  t.deepEqual(await tokenize(source, short, { bounded: true }), whole);
});

test('an abort ends the thread', async (t) => {
  const path = file('long.txt', 'The river rises in the hills. '.repeat(400_000));
  const controller = new AbortController();
  const work = tokenize(source, path, { signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  t.like(await t.throwsAsync(work), { code: 'ERR_ABORTED' });
  const before = await t.throwsAsync(tokenize(source, path, { signal: controller.signal }));
  t.like(before, { code: 'ERR_ABORTED' });
});

test('a tokenizer that takes too long ends with a code, and by an abort at once', async (t) => {
  const slow = join(folder, 'slow');
  mkdirSync(slow);
  const json = JSON.parse(readFileSync(join(fixture, 'tokenizer.json'), 'utf8'));
  json.pre_tokenizer = {
    type: 'Split',
    pattern: { Regex: 'a*a*a*a*a*a*b' },
    behavior: 'Isolated',
    invert: false,
  };
  writeFileSync(join(slow, 'tokenizer.json'), JSON.stringify(json));
  const source = { kind: 'folder', folder: slow } as const;
  const path = file('slow.txt', 'a'.repeat(10_000));
  const late = t.throwsAsync(tokenize(source, path));
  const started = performance.now();
  const signal = AbortSignal.timeout(100);
  t.like(await t.throwsAsync(tokenize(source, path, { signal })), { code: 'ERR_ABORTED' });
  t.true(performance.now() - started < 5000);
  const error = await late;
  t.like(error, { code: 'ERR_TOKENIZER' });
  t.regex(error.message, /takes more than 9 seconds/);
});
