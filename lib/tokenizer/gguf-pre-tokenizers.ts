/** What llama.cpp does by a name in `tokenizer.ggml.pre` (its `src/llama-vocab.cpp`), as steps of tokenizer.json. */
import {
  cutsBy,
  GPT2_PATTERN,
  LLAMA_CPP_PATTERNS,
  LLAMA3_PATTERN,
  O200K_PATTERN,
  QWEN2_PATTERN,
  QWEN35_PATTERN,
  SEED_PATTERN,
  TEKKEN_PATTERN,
} from './patterns';
import { type Component, flatten } from './types';

export interface PreTokenizer {
  /** Names in `tokenizer.ggml.pre`; the first one is written. */
  names: string[];
  /** Steps before the bytes are spelled as characters. */
  steps: Component[];
  /** A word that is a token as a whole is not merged. */
  ignoreMerges: boolean;
  /** llama.cpp adds BOS where the file does not say. */
  addBos?: boolean;
  normalizer: Component | null;
}

const split = (pattern: string): Component => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});

/** `ByteLevel` with or without its own pattern. */
const byteLevel = (useRegex: boolean): Component => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: useRegex,
  use_regex: useRegex,
});

export const PRE_TOKENIZERS: readonly PreTokenizer[] = [
  {
    names: [
      'gpt-2',
      'mpt',
      'olmo',
      'jais',
      'phi-2',
      'gigachat',
      'roberta-bpe',
      'a.x-4.0',
      'mellum',
      'trillion',
      'granite-docling',
    ],
    steps: [byteLevel(true)],
    ignoreMerges: false,
    normalizer: null,
  },
  {
    names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'],
    steps: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
    ignoreMerges: false,
    normalizer: null,
  },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral', 'lfm2', 'midm-2.0'],
    steps: [split(LLAMA3_PATTERN), byteLevel(false)],
    ignoreMerges: true,
    addBos: true,
    normalizer: null,
  },
  {
    // Phi-4's, OLMo 2's and Granite 4's; SmolLM3's.
    names: ['dbrx', 'smaug-bpe'],
    steps: [split(LLAMA3_PATTERN), byteLevel(false)],
    ignoreMerges: false,
    normalizer: null,
  },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'megrez', 'f2llmv2'],
    steps: [split(QWEN2_PATTERN), byteLevel(false)],
    ignoreMerges: false,
    normalizer: { type: 'NFC' },
  },
  {
    names: ['qwen35'],
    steps: [split(QWEN35_PATTERN), byteLevel(false)],
    ignoreMerges: false,
    normalizer: { type: 'NFC' },
  },
  {
    names: ['seed-coder'],
    steps: [split(SEED_PATTERN), byteLevel(false)],
    ignoreMerges: false,
    normalizer: null,
  },
  {
    names: ['tekken'],
    addBos: true,
    steps: [split(TEKKEN_PATTERN), byteLevel(false)],
    ignoreMerges: true,
    normalizer: null,
  },
  {
    names: ['gpt-4o', 'llama4'],
    steps: [split(O200K_PATTERN), byteLevel(false)],
    ignoreMerges: false,
    normalizer: null,
  },
  {
    // Also of files that do not say, most of them made before the key existed.
    names: ['default'],
    steps: [...LLAMA_CPP_PATTERNS.map(split), byteLevel(false)],
    ignoreMerges: false,
    normalizer: null,
  },
];

/** What of a pre-tokenizer decides where text is cut, as one string to compare by. */
function signature(steps: Component[]): string {
  return JSON.stringify(
    steps.flatMap((step) => {
      if (step.type === 'Digits') return [`digits:${step.individual_digits === true}`];
      if (step.type === 'Split') return [`split:${cutsBy(step)}`];
      if (step.type !== 'ByteLevel') return [step.type];
      const prefix = step.add_prefix_space === true ? ['prefix'] : [];
      return step.use_regex === false ? prefix : [...prefix, `split:${GPT2_PATTERN}`];
    }),
  );
}

/** The entries of the table that cut text as this pre-tokenizer does. */
export function preTokenizersLike(component: Component | null): PreTokenizer[] {
  const wanted = signature(flatten(component));
  return PRE_TOKENIZERS.filter((entry) => signature(entry.steps) === wanted);
}
