/** Ids equal to Rust's `tokenizers`, from fixtures made by scripts/oracles/make-tokenizer-fixtures.py. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { loadTokenizer } from '../../lib/tokenizer';

const FIXTURES = join(__dirname, 'fixtures');

interface Expected {
  texts: string[];
  ids: number[][];
  decoded: string[];
  long: { count: number; sha256: string };
}

/** The same text as the script's `long_text`. */
function longText(texts: string[]): string {
  const parts = Array.from({ length: 900 }, (_, i) => {
    const text = texts[(7 * i + Math.floor(i / 3)) % texts.length]!;
    return i % 4 === 0 ? `${text} and ` : text;
  });
  return parts.join('');
}

const names = readdirSync(FIXTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

test('there is a fixture of every kind', (t) => {
  for (const name of [
    'gpt2',
    'smollm',
    'llama3',
    'dbrx',
    'qwen2',
    'qwen35',
    'seed',
    'tekken',
    'o200k',
    'llama-cpp',
    'llama2',
  ]) {
    t.true(names.includes(name), name);
  }
});

for (const name of names) {
  const folder = join(FIXTURES, name);
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;

  test(`${name}: ids and text of difficult strings`, (t) => {
    const tokenizer = loadTokenizer({ kind: 'folder', folder });
    for (const [i, text] of expected.texts.entries()) {
      t.deepEqual(Array.from(tokenizer.encode(text)), expected.ids[i], JSON.stringify(text));
      t.is(tokenizer.decode(expected.ids[i]!), expected.decoded[i]!, JSON.stringify(text));
    }
  });

  test(`${name}: a text longer than a chunk, however it comes in`, (t) => {
    const tokenizer = loadTokenizer({ kind: 'folder', folder });
    const text = longText(expected.texts);
    const sha256 = (ids: Int32Array) => createHash('sha256').update(ids).digest('hex');
    const ids = tokenizer.encode(text);
    t.is(ids.length, expected.long.count);
    t.is(sha256(ids), expected.long.sha256);
    const parts: string[] = text.match(/[\s\S]{1,997}/gu) ?? [];
    t.is(sha256(tokenizer.encodeParts(parts)), expected.long.sha256);
    for (const maxTokens of [1, 2048, 10_001]) {
      t.deepEqual(tokenizer.encodeParts(parts, maxTokens), ids.slice(0, maxTokens));
    }
  });
}
