/** Variants of tokenizers, damaged ones among them: the ids of Rust's `tokenizers`, or refused. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { answerTo } from '../hostile/tokenizer-answer';
import { tokenizerRequest } from '../hostile/tokenizers';

/** By scripts/oracles/make-tokenizer-fixtures.py: of every seed what was asked and what Rust said, null where it refused. */
const expected: { asked: string; said: string | null }[] = JSON.parse(
  readFileSync(join(__dirname, 'fixtures', 'variants.json'), 'utf8'),
);

const folder = mkdtempSync(join(tmpdir(), 'struprune-variants-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16);

test('variants of tokenizers have the ids and texts of Rust, or are refused', (t) => {
  let same = 0;
  for (const [seed, { asked, said }] of expected.entries()) {
    const request = tokenizerRequest(seed);
    t.is(
      sha256([request.json, ...request.texts].join('\0')),
      asked,
      'made anew: run make-tokenizer-fixtures.py',
    );
    const ours = answerTo(request, folder);
    if (ours === null) continue;
    t.is(sha256(ours), said ?? 'refused', `${seed}: ${request.what}`);
    same++;
  }
  t.true(same > expected.length / 3, `${same} of ${expected.length} are accepted`);
});
