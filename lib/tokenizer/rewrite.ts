/**
 * tokenizer.json rewritten so that @huggingface/tokenizers cuts text as Rust's `tokenizers` does. The two
 * differ in what they call a digit and white space, in case folding, and in options that the JavaScript one
 * passes over in silence; the rest is refused, for wrong ids would spoil every number made from them.
 */
import { StruPruneError } from '../errors';
import { CONTRACTIONS, GPT2_PATTERN } from './patterns';
import { SPACE } from './sentencepiece';
import { type Component, flatten, mergePairs, regexOf, type TokenizerJson } from './types';

/** Unicode folds U+017F (long s) with s; JavaScript's `[sS]` does not. */
const FOLDED_CONTRACTIONS = "(?:'[sS\u017f]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

const NORMALIZERS = new Set(['NFC', 'NFD', 'NFKC', 'NFKD', 'Prepend', 'Replace']);

/** @throws StruPruneError ERR_UNSUPPORTED for a component whose ids would not be those of Rust. */
export function rewriteForJavaScript(json: TokenizerJson): TokenizerJson {
  checkModel(json);
  for (const { content, single_word } of json.added_tokens) {
    if (single_word) throw unsupported(`the added token "${content}" with single_word`);
  }
  const normalizer = flatten(json.normalizer);
  for (const { type } of normalizer) {
    if (!NORMALIZERS.has(type)) throw unsupported(`the normalizer ${type}`);
  }
  const steps = flatten(json.pre_tokenizer).flatMap(rewriteStep);
  if (splitsAtSpaces(json)) steps.push(split(`${SPACE}*[^${SPACE}]+|${SPACE}+`));
  return {
    ...json,
    added_tokens: json.added_tokens.map((token) => ({ ...token, lstrip: false, rstrip: false })),
    normalizer: normalizer.length ? { type: 'Sequence', normalizers: normalizer } : null,
    pre_tokenizer: steps.length ? { type: 'Sequence', pretokenizers: steps } : null,
    // Special tokens are never added here; without it the library copies every id once less.
    post_processor: null,
  };
}

/**
 * Takes away the white space that added tokens claim for themselves (`lstrip`, `rstrip`); the library would
 * take U+FEFF too and leave U+0085. null: no token claims any.
 */
export function stripperFor({ added_tokens }: TokenizerJson): ((text: string) => string) | null {
  const anyOf = (tokens: { content: string }[]) =>
    tokens.map(({ content }) => content.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')).join('|');
  const left = anyOf(added_tokens.filter(({ lstrip }) => lstrip));
  const right = anyOf(added_tokens.filter(({ rstrip }) => rstrip));
  if (!left && !right) return null;
  const patterns: RegExp[] = [];
  if (left) patterns.push(new RegExp(`\\p{White_Space}+(?=${left})`, 'gu'));
  if (right) patterns.push(new RegExp(`(?<=${right})\\p{White_Space}+`, 'gu'));
  return (text) => patterns.reduce((stripped, pattern) => stripped.replace(pattern, ''), text);
}

/**
 * Whether the text can be cut between a piece and the next `▁` without changing an id: only BPE without a
 * pre-tokenizer, where no merge makes a token with a `▁` behind another character, as SentencePiece trains
 * them. Words are then merged one by one instead of the whole text at once.
 */
export function splitsAtSpaces({ normalizer, pre_tokenizer, model }: TokenizerJson): boolean {
  const marksSpaces = [...flatten(normalizer), ...flatten(pre_tokenizer)].some(
    (step) => step.type === 'Metaspace' || (step.type === 'Replace' && step.content === SPACE),
  );
  const plain = flatten(pre_tokenizer).every(({ type }) => type === 'Metaspace');
  if (!marksSpaces || !plain || !(SPACE in model.vocab) || model.ignore_merges) return false;
  const inside = new RegExp(`[^${SPACE}]${SPACE}`, 'u');
  return !mergePairs(model.merges).some(([left, right]) => inside.test(left + right));
}

const split = (regex: string): Component => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});

function rewriteStep(step: Component): Component[] {
  switch (step.type) {
    case 'ByteLevel': {
      const spell = { ...step, add_prefix_space: false, use_regex: false };
      const prefix = step.add_prefix_space !== false ? [PREFIX_SPACE] : [];
      return step.use_regex === false
        ? [...prefix, spell]
        : [...prefix, split(GPT2_PATTERN), spell];
    }
    case 'Digits':
      return [split(step.individual_digits ? String.raw`\p{N}` : String.raw`\p{N}+`)];
    case 'Split':
      return [rewriteSplit(step)];
    case 'Metaspace':
      return step.split === false ? [step] : [step, split(`${SPACE}?[^${SPACE}]+|${SPACE}`)];
    default:
      throw unsupported(`the pre-tokenizer ${step.type}`);
  }
}

/**
 * A space in front of a text that does not begin with one; only this library has the step as data. It takes the
 * whole text, because a search for the empty match that would do stops inside surrogate pairs too.
 */
const PREFIX_SPACE: Component = {
  type: 'Replace',
  pattern: { Regex: String.raw`\A[^ ][\s\S]*` },
  content: ' $&',
};

function rewriteSplit(step: Component): Component {
  const regex = regexOf(step);
  const isolated = step.behavior === 'Isolated' && step.invert !== true;
  const keepsMatches = step.behavior === 'Removed' && step.invert === true;
  if (!isolated && !keepsMatches) {
    throw unsupported(`a Split pre-tokenizer with behavior ${step.behavior}`);
  }
  if (regex === null) return step;
  const pattern = { Regex: regex.replaceAll(CONTRACTIONS, FOLDED_CONTRACTIONS) };
  return { ...step, pattern };
}

function checkModel({ model, pre_tokenizer }: TokenizerJson): void {
  if (model.continuing_subword_prefix || model.end_of_word_suffix) {
    throw unsupported('a BPE model with subword prefixes or suffixes');
  }
  if (model.dropout) throw unsupported('BPE dropout');
  const byteLevel = flatten(pre_tokenizer).some(({ type }) => type === 'ByteLevel');
  const splits = flatten(pre_tokenizer).some(
    (step) => step.type !== 'Metaspace' || step.split !== false,
  );
  // Rust fuses unknown characters inside one word, the JavaScript library across words.
  if (model.fuse_unk && splits && !byteLevel && !coversBytes(model.vocab)) {
    throw unsupported('a BPE model that fuses unknown characters of split words');
  }
}

function coversBytes(vocab: Record<string, number>): boolean {
  for (let byte = 0; byte < 256; byte++) {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    if (!(name in vocab)) return false;
  }
  return true;
}

function unsupported(what: string): StruPruneError {
  return new StruPruneError(
    'ERR_UNSUPPORTED',
    `${what} is not supported in tokenizer.json`,
    'use a model with a byte-level or a SentencePiece-like BPE tokenizer',
  );
}
