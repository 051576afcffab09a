/** The tokens that stand for a vocabulary. */
import test from 'ava';
import { sampleOfVocabulary, sampleSize } from '../../../lib/models/decoders/vocabulary';

const VOCABULARY = 64_000;

test('a small vocabulary stands for itself', (t) => {
  t.is(sampleSize(8192), 8192);
  t.is(sampleOfVocabulary(8192, Int32Array.of(1, 2)), undefined);
});

test('a sample has the tokens of the text and others from everywhere, in order, each once', (t) => {
  const text = Int32Array.from({ length: 20_000 }, (_, i) => (i * i) % 50_021);
  const sample = sampleOfVocabulary(VOCABULARY, text)!;
  t.is(sample.length, 8000);
  t.is(sampleSize(VOCABULARY), 8000);
  t.true(sample.every((token, i) => i === 0 || sample[i - 1]! < token));
  t.true(sample.at(-1)! < VOCABULARY);
  const few = Int32Array.from({ length: 900 }, (_, i) => 7 * (i % 300));
  const held = new Set(sampleOfVocabulary(VOCABULARY, few));
  t.true(few.every((token) => held.has(token)));
  // 7,700 others among 63,700.
  const above = [...held].filter((token) => token > VOCABULARY / 2).length;
  t.true(Math.abs(above - 3868) < 2, String(above));
});

test('of a long text the beginning counts', (t) => {
  const text = Int32Array.from({ length: 40_000 }, (_, i) => (i * i) % 50_021);
  const sample = sampleOfVocabulary(VOCABULARY, text);
  t.deepEqual(sample, sampleOfVocabulary(VOCABULARY, text.subarray(0, 16_384)));
});

test('of a text with too many the most frequent are there', (t) => {
  // 12,000 tokens, of which the last 1,000 come twice.
  const text = Int32Array.from({ length: 13_000 }, (_, i) => 5 * (i < 12_000 ? i : i - 1000));
  const held = new Set(sampleOfVocabulary(VOCABULARY, text));
  for (let i = 11_000; i < 12_000; i++) t.true(held.has(5 * i));
});
