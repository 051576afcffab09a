/** The published regular expressions by which byte-level BPE vocabularies cut text before merging. */
import { type Component, regexOf } from './types';

/** The pattern built into the `ByteLevel` pre-tokenizer (GPT-2, OPT, SmolLM2). */
export const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

export const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";

const modernPattern = (letters: string, digits: string, others: string) =>
  String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?${letters}+|${digits}| ?${others}|\s*[\r\n]+|\s+(?!\S)|\s+`;
const LETTER = String.raw`\p{L}`;
const OTHERS = String.raw`[^\s\p{L}\p{N}]+[\r\n]*`;

/** Llama 3's, Phi-4's and SmolLM3's: three digits a piece. */
export const LLAMA3_PATTERN = modernPattern(LETTER, String.raw`\p{N}{1,3}`, OTHERS);
/** Qwen2's and Qwen3's: one digit a piece. */
export const QWEN2_PATTERN = modernPattern(LETTER, String.raw`\p{N}`, OTHERS);
/** Qwen3.5's: marks belong to words. */
export const QWEN35_PATTERN = modernPattern(
  String.raw`[\p{L}\p{M}]`,
  String.raw`\p{N}`,
  String.raw`[^\s\p{L}\p{M}\p{N}]+[\r\n]*`,
);
/** Seed-OSS's: line ends never belong to the signs before them. */
export const SEED_PATTERN = modernPattern(
  LETTER,
  String.raw`\p{N}{1}`,
  String.raw`[^\s\p{L}\p{N}\r\n]+`,
);

const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
/** Mistral's later models. */
export const TEKKEN_PATTERN = String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+|[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

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
  QWEN35_PATTERN,
  SEED_PATTERN,
  TEKKEN_PATTERN,
]);

/** Each character of any text is in a match of these. */
const WHOLE_PATTERNS: ReadonlySet<string> = new Set([...LETTER_RUN_PATTERNS, O200K_PATTERN]);

/** By which llama.cpp cuts what a file does not speak for: runs of punctuation, GPT-2's pieces, numbers, threes of digits. */
export const LLAMA_CPP_PATTERNS = [
  String.raw`[\p{P}\$\+<=>\^~\|]+`,
  GPT2_PATTERN,
  String.raw`\p{N}+`,
  '[0-9][0-9][0-9]',
];

/** Patterns that match no letter: before, between or behind others they leave a letter's end where it is. */
export const LETTERLESS_PATTERNS: ReadonlySet<string> = new Set(
  LLAMA_CPP_PATTERNS.filter((pattern) => pattern !== GPT2_PATTERN),
);

/**
 * The regular expression between whose matches a `Split` cuts and loses nothing, as this file spells it, or null for another `Split`.
 * Converters of OpenAI's vocabularies write `Removed` with `invert`, which keeps the matches alone.
 */
export function cutsBy(split: Component): string | null {
  const written = regexOf(split);
  if (written === null) return null;
  // Seed's has the line ends themselves.
  const pattern = written.replaceAll('\r', String.raw`\r`).replaceAll('\n', String.raw`\n`);
  if (split.behavior === 'Isolated') return pattern;
  const keepsMatches = split.behavior === 'Removed' && split.invert === true;
  return keepsMatches && WHOLE_PATTERNS.has(pattern) ? pattern : null;
}
