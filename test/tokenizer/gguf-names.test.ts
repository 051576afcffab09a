/**
 * Names of pre-tokenizers in GGUF files and what llama.cpp does by them (src/llama-vocab.cpp). Oracle: ids of Rust's `tokenizers`, of
 * fixtures that cut and merge in the same way.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  ggufMetadataFromTokenizer,
  loadTokenizer,
  readTokenizerFiles,
  type TokenizerJson,
  tokenizerFromGguf,
} from '../../lib/tokenizer';
import { type Component, flatten } from '../../lib/tokenizer/types';

const FIXTURES = join(__dirname, 'fixtures');
const PRE = 'tokenizer.ggml.pre';
const filesOf = (name: string) =>
  readTokenizerFiles({ kind: 'folder', folder: join(FIXTURES, name) });

/** The fixture's metadata under another name, without a word about BOS. */
function named(fixture: string, pre: string) {
  const { tokenizerJson, tokenizerConfig } = filesOf(fixture);
  const metadata = ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, 700);
  delete metadata['tokenizer.ggml.add_bos_token'];
  return tokenizerFromGguf({ ...metadata, [PRE]: pre });
}

function nameOf(tokenizerJson: TokenizerJson): unknown {
  const { tokenizerConfig } = filesOf('gpt2');
  return ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, 700)[PRE]!.value;
}

/** By family: the name in its files, the fixture whose ids it gives, whether BOS is added where the file does not say. */
const FAMILIES = [
  ['GPT-2', 'gpt-2', 'gpt2', false],
  ['GPT-NeoX, Pythia', 'mpt', 'gpt2', false],
  ['GPT-NeoX, OLMoE', 'olmo', 'gpt2', false],
  ['granite-docling, an Idefics3', 'granite-docling', 'gpt2', false],
  ['SmolLM2', 'smollm', 'smollm', false],
  ['StarCoder2', 'starcoder', 'smollm', false],
  ['Granite 3', 'refact', 'smollm', false],
  ['Llama 3', 'llama-bpe', 'llama3', true],
  ['Falcon 3', 'falcon3', 'llama3', true],
  ['Pixtral', 'pixtral', 'llama3', true],
  ['LFM2', 'lfm2', 'llama3', true],
  ['Phi-4, OLMo 2, Granite 4', 'dbrx', 'dbrx', false],
  ['SmolLM3', 'smaug-bpe', 'dbrx', false],
  ['Qwen2, Qwen3', 'qwen2', 'qwen2', false],
  ['DeepSeek R1 Distill Qwen', 'deepseek-r1-qwen', 'qwen2', false],
  ['Qwen3.5', 'qwen35', 'qwen35', false],
  ['Seed-OSS', 'seed-coder', 'seed', false],
  ['Mistral Nemo and later', 'tekken', 'tekken', true],
  ['gpt-oss, Phi-4-mini', 'gpt-4o', 'o200k', false],
  ['files of before the key', 'default', 'llama-cpp', false],
] as const;

for (const [family, pre, fixture, bos] of FAMILIES) {
  test(`${pre} (${family}): ids, and BOS where the file does not say`, (t) => {
    const files = named(fixture, pre);
    t.is(files.tokenizerConfig.add_bos_token, bos);
    const tokenizer = loadTokenizer({ kind: 'files', files });
    const { texts, ids }: { texts: string[]; ids: number[][] } = JSON.parse(
      readFileSync(join(FIXTURES, fixture, 'expected.json'), 'utf8'),
    );
    for (const [i, text] of texts.entries()) {
      // A GGUF file cannot say that a token takes the space beside it.
      if (text.includes('<extra>')) continue;
      t.deepEqual([...tokenizer.encode(text)], ids[i], JSON.stringify(text));
    }
  });
}

test('of two names for one pattern the one that merges whole words as the tokenizer does', (t) => {
  const { tokenizerJson } = filesOf('llama3');
  t.is(nameOf(tokenizerJson), 'llama-bpe');
  tokenizerJson.model.ignore_merges = false;
  t.is(nameOf(tokenizerJson), 'dbrx');
});

test('a name that merges whole words otherwise is refused where that changes ids', (t) => {
  for (const [fixture, pre] of [
    ['qwen2', 'qwen2'],
    ['o200k', 'gpt-4o'],
    ['tekken', 'tekken'],
  ] as const) {
    const { tokenizerJson } = filesOf(fixture);
    const { model } = tokenizerJson;
    model.ignore_merges = !model.ignore_merges;
    t.is(nameOf(tokenizerJson), pre, 'merges make every token');
    Object.assign(model.vocab, { Ġunmerged: 690 });
    t.like(
      t.throws(() => nameOf(tokenizerJson)),
      { code: 'ERR_UNSUPPORTED' },
    );
    model.ignore_merges = !model.ignore_merges;
    t.is(nameOf(tokenizerJson), pre);
  }
});

/** The fixture with its `Split` changed. */
function withSplit(fixture: string, change: (split: Component) => Component): TokenizerJson {
  const { tokenizerJson } = filesOf(fixture);
  const pretokenizers = flatten(tokenizerJson.pre_tokenizer).map((step) =>
    step.type === 'Split' ? change(step) : step,
  );
  return { ...tokenizerJson, pre_tokenizer: { type: 'Sequence', pretokenizers } };
}

test('matches alone are all of a text, so that they have the name of what is cut between them', (t) => {
  const behavior = 'Removed';
  for (const fixture of ['llama3', 'qwen35', 'seed', 'o200k']) {
    const isolated = nameOf(filesOf(fixture).tokenizerJson);
    const matches = withSplit(fixture, (step) => ({ ...step, behavior, invert: true }));
    t.is(nameOf(matches), isolated, fixture);
    const between = withSplit(fixture, (step) => ({ ...step, behavior, invert: false }));
    t.like(
      t.throws(() => nameOf(between)),
      { code: 'ERR_UNSUPPORTED' },
    );
  }
  const digits = withSplit('llama-cpp', (step) => ({ ...step, behavior, invert: true }));
  t.like(
    t.throws(() => nameOf(digits)),
    { code: 'ERR_UNSUPPORTED' },
  );
});
