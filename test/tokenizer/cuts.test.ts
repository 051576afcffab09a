/** Where texts may be cut; that the ids stay the same is shown in tokenizer.test.ts. */
import { join } from 'node:path';
import test from 'ava';
import { readTokenizerFiles, type TokenizerJson } from '../../lib/tokenizer';
import { cutterFor } from '../../lib/tokenizer/cuts';
import { flatten } from '../../lib/tokenizer/types';

const read = (name: string): TokenizerJson =>
  readTokenizerFiles({ kind: 'folder', folder: join(__dirname, 'fixtures', name) }).tokenizerJson;
const TAIL = ' '.repeat(40); // longer than any added token

test('every usual tokenizer cuts behind a letter', (t) => {
  for (const name of [
    'gpt2',
    'gpt2-prefix',
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
    const cutter = cutterFor(read(name));
    t.is(cutter?.lastCut(`one two 3 4.${TAIL}`), 'one two'.length, name);
    t.is(cutter?.lastCut(`123 456${TAIL}`), 0, name);
  }
});

test("Gemma's is cut, although it merges a space into >▁</ and splits at spaces that are gone", (t) => {
  const gemma = read('llama2');
  const [first] = flatten(gemma.normalizer).filter(({ type }) => type === 'Replace');
  gemma.normalizer = first!;
  const { vocab, merges } = gemma.model;
  for (const token of ['>▁', '</', '>▁</']) vocab[token] ??= Object.keys(vocab).length;
  gemma.model.merges = [...(merges as [string, string][]), ['>▁', '</']];
  const text = `<b>one</b> </b> two 3${TAIL}`;
  const cut = '<b>one</b> </b> two'.length;
  t.is(cutterFor(gemma)?.lastCut(text), cut);
  gemma.pre_tokenizer = {
    ...{ type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
  };
  t.is(cutterFor(gemma)?.lastCut(text), cut);
  gemma.model.merges.push(['e▁', 't']);
  t.is(cutterFor(gemma), null);
});

test('a cut touches no added token', (t) => {
  const cutter = cutterFor(read('smollm'))!;
  const text = `one two <s> 3${TAIL}`;
  t.is(cutter.lastCut(text), 'one'.length);
});

test('the dropped space is the one that the normalizer puts back', (t) => {
  const text = `one  two${TAIL}`;
  t.is(cutterFor(read('llama2'))!.continueFrom(text, 3), ` two${TAIL}`);
  t.is(cutterFor(read('llama2-metaspace'))!.continueFrom(text, 3), `  two${TAIL}`);
});

test('tokenizers that could see across a cut are never cut', (t) => {
  t.is(cutterFor(read('spaced-merges')), null);
  const unknown = read('llama3');
  const pattern = { Regex: String.raw`\w+ \w+|\s+|.` };
  unknown.pre_tokenizer = { type: 'Split', pattern, behavior: 'Isolated', invert: false };
  t.is(cutterFor(unknown), null);
  const replacing = read('gpt2');
  replacing.normalizer = { type: 'Replace', pattern: { String: 'e ' }, content: 'e' };
  t.is(cutterFor(replacing), null);
  const hidden = read('qwen2');
  hidden.added_tokens.push({ ...hidden.added_tokens[0]!, content: 'a b', normalized: true });
  t.is(cutterFor(hidden), null);
});
