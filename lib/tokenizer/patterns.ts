/**
 * How byte-level BPE vocabularies cut text before merging: the published regular expressions, and the
 * names that llama.cpp gives them in `tokenizer.ggml.pre`.
 */
import { type Component, flatten, regexOf } from './types';

/** The pattern built into the `ByteLevel` pre-tokenizer (GPT-2, OPT, SmolLM2). */
export const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

export const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";

/** Llama 3 (three digits a piece) and Qwen2/3 (one digit a piece) differ in one number. */
const modernPattern = (digits: string) =>
  String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const LLAMA3_PATTERN = modernPattern(String.raw`\p{N}{1,3}`);
const QWEN2_PATTERN = modernPattern(String.raw`\p{N}`);

const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
/** Mistral's later models. */
const TEKKEN_PATTERN = String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+|[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/** GPT-4o's and Phi-4-mini's: contractions stay with the word before them. */
export const O200K_PATTERN = String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+${CONTRACTIONS}?|[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*${CONTRACTIONS}?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/**
 * Patterns that read left to right without looking back, and none of whose alternatives holds a letter
 * followed by white space or punctuation: a piece surely ends between the two.
 */
export const LETTER_RUN_PATTERNS: ReadonlySet<string> = new Set([
  GPT2_PATTERN,
  LLAMA3_PATTERN,
  QWEN2_PATTERN,
  TEKKEN_PATTERN,
]);

/** By which llama.cpp cuts what a file does not speak for: runs of punctuation, GPT-2's pieces, numbers, threes of digits. */
const LLAMA_CPP_PATTERNS = [
  String.raw`[\p{P}\$\+<=>\^~\|]+`,
  GPT2_PATTERN,
  String.raw`\p{N}+`,
  '[0-9][0-9][0-9]',
];

/** Patterns that match no letter: before, between or behind others they leave a letter's end where it is. */
export const LETTERLESS_PATTERNS: ReadonlySet<string> = new Set(
  LLAMA_CPP_PATTERNS.filter((pattern) => pattern !== GPT2_PATTERN),
);

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
    names: ['gpt-2', 'mpt', 'olmo', 'jais', 'phi-2', 'gigachat', 'roberta-bpe'],
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
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral', 'lfm2'],
    steps: [split(LLAMA3_PATTERN), byteLevel(false)],
    ignoreMerges: true,
    addBos: true,
    normalizer: null,
  },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'megrez'],
    steps: [split(QWEN2_PATTERN), byteLevel(false)],
    ignoreMerges: false,
    normalizer: { type: 'NFC' },
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
      if (step.type !== 'ByteLevel') return [`${step.type}:${step.behavior}:${regexOf(step)}`];
      const prefix = step.add_prefix_space === true ? ['prefix'] : [];
      return step.use_regex === false ? prefix : [...prefix, `split:${GPT2_PATTERN}`];
    }),
  );
}

/** The entry of the table that cuts text as this pre-tokenizer does, or undefined. */
export function preTokenizerOf(component: Component | null): PreTokenizer | undefined {
  const wanted = signature(flatten(component));
  return PRE_TOKENIZERS.find((entry) => signature(entry.steps) === wanted);
}
