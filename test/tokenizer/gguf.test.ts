/** Tokenizers from GGUF metadata and back. Oracles: transformers' merges, ids of Rust's `tokenizers`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  type GgufEntries,
  ggufMetadataFromTokenizer,
  loadTokenizer,
  readTokenizerFiles,
  type Tokenizer,
  tokenizerFromGguf,
} from '../../lib/tokenizer';

const FIXTURES = join(__dirname, 'fixtures');
const json = <T>(...path: string[]): T =>
  JSON.parse(readFileSync(join(FIXTURES, ...path), 'utf8')) as T;
const filesOf = (name: string) =>
  readTokenizerFiles({ kind: 'folder', folder: join(FIXTURES, name) });

interface Scored {
  tokens: string[];
  scores: number[];
  types: number[];
  merges: [string, string][];
  texts: string[];
  ids: number[][];
}

const scored = json<Scored>('scored.json');
const scoredMetadata = {
  'general.architecture': 'llama',
  'llama.context_length': 4096,
  'tokenizer.ggml.model': 'llama',
  'tokenizer.ggml.tokens': scored.tokens,
  'tokenizer.ggml.scores': scored.scores,
  'tokenizer.ggml.token_type': scored.types,
  'tokenizer.ggml.bos_token_id': 1,
  'tokenizer.ggml.eos_token_id': 2,
  'tokenizer.ggml.unknown_token_id': 0,
  'tokenizer.chat_template': '{{ messages }}',
};

test('merges of a scored vocabulary are those of transformers', (t) => {
  const { tokenizerJson, tokenizerConfig, specialTokensMap } = tokenizerFromGguf(scoredMetadata);
  t.true(scored.merges.length > 300);
  t.deepEqual(tokenizerJson.model.merges, scored.merges);
  t.deepEqual(specialTokensMap, { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' });
  t.like(tokenizerConfig, {
    tokenizer_class: 'PreTrainedTokenizerFast',
    chat_template: '{{ messages }}',
    bos_token: '<s>',
    add_bos_token: true,
    model_max_length: 4096,
  });
});

test('ids of a scored vocabulary', (t) => {
  const tokenizer = loadTokenizer({ kind: 'files', files: tokenizerFromGguf(scoredMetadata) });
  for (const [i, text] of scored.texts.entries()) {
    t.deepEqual(Array.from(tokenizer.encode(text)), scored.ids[i], JSON.stringify(text));
  }
  t.is(tokenizer.bosTokenId, 1);
  t.is(tokenizer.eosTokenId, 2);
  t.is(tokenizer.vocabSize, scored.tokens.length);
});

/** The fixture's ids, but for a token that takes the space beside it, which a GGUF file cannot say. */
function givesExpected(t: ExecutionContext, tokenizer: Tokenizer, name: string): void {
  const { texts, ids } = json<{ texts: string[]; ids: number[][] }>(name, 'expected.json');
  for (const [i, text] of texts.entries()) {
    if (text.includes('<extra>')) continue;
    t.deepEqual(Array.from(tokenizer.encode(text)), ids[i], JSON.stringify(text));
  }
}

// llama.cpp knows neither a prefix space on byte-level text nor lstrip and rstrip.
for (const [name, pre] of [
  ['gpt2', 'gpt-2'],
  ['smollm', 'smollm'],
  ['llama3', 'llama-bpe'],
  ['dbrx', 'dbrx'],
  ['qwen2', 'qwen2'],
  ['qwen35', 'qwen35'],
  ['seed', 'seed-coder'],
  ['tekken', 'tekken'],
  ['o200k', 'gpt-4o'],
  ['llama-cpp', 'default'],
  ['llama2', 'default'],
] as const) {
  test(`${name}: written as GGUF metadata and read again`, (t) => {
    const { tokenizerJson, tokenizerConfig } = filesOf(name);
    const rows = 700;
    const metadata: GgufEntries = ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, rows);
    t.deepEqual(metadata['tokenizer.ggml.pre'], { type: 'string', value: pre });
    t.is((metadata['tokenizer.ggml.tokens']!.value as string[]).length, rows);
    t.is((metadata['tokenizer.ggml.token_type']!.value as number[])[rows - 1], 5);
    t.deepEqual(metadata['tokenizer.ggml.add_bos_token'], { type: 'bool', value: false });
    const tokenizer = loadTokenizer({ kind: 'files', files: tokenizerFromGguf(metadata) });
    givesExpected(t, tokenizer, name);
    t.is(
      tokenizer.vocabSize,
      loadTokenizer({ kind: 'folder', folder: join(FIXTURES, name) }).vocabSize,
    );
  });
}

test('a file that names no pre-tokenizer is cut as llama.cpp cuts it', (t) => {
  const { tokenizerJson, tokenizerConfig } = filesOf('llama-cpp');
  const metadata = ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, 700);
  delete metadata['tokenizer.ggml.pre'];
  const tokenizer = loadTokenizer({ kind: 'files', files: tokenizerFromGguf(metadata) });
  givesExpected(t, tokenizer, 'llama-cpp');
});

test('token types and special ids of a SentencePiece-like vocabulary', (t) => {
  const { tokenizerJson, tokenizerConfig } = filesOf('llama2');
  const metadata = ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, 700);
  const tokens = metadata['tokenizer.ggml.tokens']!.value as string[];
  const types = metadata['tokenizer.ggml.token_type']!.value as number[];
  const typeOf = (token: string) => types[tokens.indexOf(token)];
  t.deepEqual(
    ['<unk>', '<s>', '<0x41>', 'e', '<extra>', '<|end|>'].map(typeOf),
    [2, 3, 6, 1, 4, 3],
  );
  t.deepEqual(metadata['tokenizer.ggml.bos_token_id'], { type: 'uint32', value: 1 });
  t.deepEqual(metadata['tokenizer.ggml.add_space_prefix'], { type: 'bool', value: true });
  // What SentencePiece merges first scores highest.
  const scores = metadata['tokenizer.ggml.scores']!.value as number[];
  const merges = tokenizerJson.model.merges as [string, string][];
  const scoreOf = ([left, right]: [string, string]) => scores[tokens.indexOf(left + right)]!;
  t.true(scoreOf(merges[0]!) > scoreOf(merges[1]!));
  t.true(scoreOf(merges[1]!) > scoreOf(merges.at(-1)!));
});

test('BOS is added where the post-processor adds it', (t) => {
  const { tokenizerJson, tokenizerConfig } = tokenizerFromGguf(scoredMetadata);
  const { add_bos_token: _, ...config } = tokenizerConfig;
  const metadata = ggufMetadataFromTokenizer(tokenizerJson, config, scored.tokens.length);
  t.deepEqual(metadata['tokenizer.ggml.add_bos_token'], { type: 'bool', value: true });
  t.deepEqual(metadata['tokenizer.chat_template'], { type: 'string', value: '{{ messages }}' });
});

test("a file that does not say has BOS where llama.cpp would add it: before Llama 3's and Tekken's", (t) => {
  const unsaid = (name: string) => {
    const { tokenizerJson, tokenizerConfig } = filesOf(name);
    const metadata = ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, 700);
    delete metadata['tokenizer.ggml.add_bos_token'];
    return tokenizerFromGguf(metadata).tokenizerConfig.add_bos_token;
  };
  t.true(unsaid('llama3'));
  t.true(unsaid('tekken'));
  t.false(unsaid('qwen2'));
});

test('damaged or unknown metadata is refused by name', (t) => {
  const cases: [Record<string, unknown>, string, RegExp][] = [
    [{ 'tokenizer.ggml.model': undefined }, 'ERR_TOKENIZER', /holds no tokenizer/],
    [{ 'tokenizer.ggml.model': 't5' }, 'ERR_UNSUPPORTED', /"t5"/],
    [{ 'tokenizer.ggml.tokens': undefined }, 'ERR_TOKENIZER', /no tokenizer\.ggml\.tokens/],
    [{ 'tokenizer.ggml.tokens': [1, 2] }, 'ERR_TOKENIZER', /not an array of strings/],
    [{ 'tokenizer.ggml.scores': [1] }, 'ERR_TOKENIZER', /1 entries for/],
    [{ 'tokenizer.ggml.bos_token_id': 99_999 }, 'ERR_TOKENIZER', /bos_token_id is 99999/],
    [{ 'tokenizer.ggml.bos_token_id': 'x' }, 'ERR_TOKENIZER', /not an integer/],
    [
      { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'martian' },
      'ERR_UNSUPPORTED',
      /"martian"/,
    ],
    [{ 'tokenizer.ggml.model': 'gpt2' }, 'ERR_TOKENIZER', /no tokenizer\.ggml\.merges/],
    [{ 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.merges': ['ab'] }, 'ERR_TOKENIZER', /"ab"/],
  ];
  for (const [change, code, message] of cases) {
    const error = t.throws(() => tokenizerFromGguf({ ...scoredMetadata, ...change }));
    t.like(error, { code });
    t.regex(error.message, message);
  }
});

test('a tokenizer that llama.cpp cannot hold is refused', (t) => {
  const { tokenizerJson, tokenizerConfig } = filesOf('gpt2-prefix');
  t.like(
    t.throws(() => ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, 700)),
    { code: 'ERR_UNSUPPORTED' },
  );
  const plain = filesOf('gpt2');
  t.like(
    t.throws(() => ggufMetadataFromTokenizer(plain.tokenizerJson, plain.tokenizerConfig, 100)),
    { code: 'ERR_TOKENIZER' },
  );
});
