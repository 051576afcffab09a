/**
 * Where a text can be cut so that the ids of the parts, one after the other, are the ids of the whole.
 * A tokenizer whose parts are not all understood is never cut.
 */
import { cutsBy, LETTER_RUN_PATTERNS, LETTERLESS_PATTERNS, O200K_PATTERN } from './patterns';
import { SPACE } from './sentencepiece';
import { type AddedToken, type Component, flatten, mergePairs, type TokenizerJson } from './types';

export interface Cutter {
  /** Largest safe position in `text` with enough text behind it to be sure, or 0. */
  lastCut(text: string): number;
  /** The later part, as it must be given to the tokenizer to continue the earlier one. */
  continueFrom(text: string, cut: number): string;
}

/** null: the text must be tokenised in one piece. */
export function cutterFor(json: TokenizerJson): Cutter | null {
  const pieces = certainPieces(json);
  const normalizers = flatten(json.normalizer);
  const prepends = normalizers.filter(({ type }) => type === 'Prepend').length;
  const understood = normalizers.every(
    (step) =>
      step.type === 'NFC' ||
      (step.type === 'Prepend' && step.prepend === SPACE) ||
      (step.type === 'Replace' && isSpaceReplacement(step)),
  );
  const spacesMarked = normalizers.some(({ type }) => type === 'Replace');
  // A normalised token could come out of text that does not look like it.
  const hidden = json.added_tokens.some(
    ({ content, normalized }) => normalized && !/^[\x21-\x7e]*$/.test(content),
  );
  if (pieces === null || !understood || hidden || prepends > 1) return null;
  if (prepends === 1 && !spacesMarked) return null;
  // The normalizer puts a `▁` in front of every part: it stands for the space that is dropped.
  return cutterBefore(pieces.next, json.added_tokens, prepends);
}

/** Between words, of a tokenizer that looks at one word at a time. */
export function wordCutter(added: readonly AddedToken[]): Cutter {
  return cutterBefore(SPACE_ONLY, added, 0);
}

/** Cuts between a letter and such a character, which drops `dropped` characters. */
function cutterBefore(next: RegExp, added: readonly AddedToken[], dropped: number): Cutter {
  const contents = added.map(({ content }) => content);
  const margin = Math.max(0, ...contents.map(({ length }) => length)) + 2;
  return {
    lastCut(text) {
      for (let at = text.length - margin; at > 0; at--) {
        if (next.test(text[at]!) && LETTER.test(text[at - 1]!)) {
          if (!contents.some((content) => touches(text, at, content))) return at;
        }
      }
      return 0;
    },
    continueFrom: (text, cut) => text.slice(cut + dropped),
  };
}

const LETTER = /^\p{L}$/u;
const SPACE_ONLY = /^ $/;
/** Not marks: they belong to the letter before them in normal forms and in some patterns. */
const SPACE_OR_PUNCTUATION = /^[ \n\p{P}]$/u;

/** The characters behind a letter at which the pre-tokenizer surely begins a new piece, or null. */
function certainPieces(json: TokenizerJson): { next: RegExp } | null {
  const steps = preTokenizers(json);
  // A prefix is added to every part that does not begin with a space.
  const prefixed = steps.some(
    ({ type, add_prefix_space }) =>
      type === 'Metaspace' || (type === 'ByteLevel' && add_prefix_space !== false),
  );
  let cutsLetterRuns = false;
  let contracts = false;
  for (const step of steps) {
    if (step.type === 'Split') {
      const pattern = cutsBy(step);
      if (pattern === null) return null;
      if (LETTER_RUN_PATTERNS.has(pattern)) cutsLetterRuns = true;
      else if (pattern === O200K_PATTERN) cutsLetterRuns = contracts = true;
      else if (!LETTERLESS_PATTERNS.has(pattern)) return null;
    } else if (step.type === 'ByteLevel') {
      cutsLetterRuns ||= step.use_regex !== false;
    } else if (step.type === 'Metaspace') {
      cutsLetterRuns ||= step.split !== false;
    } else if (step.type !== 'Digits') {
      return null;
    }
  }
  const marked = flatten(json.normalizer).some(({ type }) => type === 'Replace');
  const spaces = prefixed || marked || contracts;
  if (cutsLetterRuns) return { next: spaces ? SPACE_ONLY : SPACE_OR_PUNCTUATION };
  return splitsAtSpaces(json) ? { next: SPACE_ONLY } : null;
}

/**
 * Whether the text can be cut between a letter and the next `▁` without changing an id: only BPE without a
 * pre-tokenizer, where no merge makes a token with a `▁` behind a letter. SentencePiece trains none; Gemma has one behind `>`.
 */
function splitsAtSpaces(json: TokenizerJson): boolean {
  const { normalizer, pre_tokenizer, model } = json;
  const marksSpaces = [...flatten(normalizer), ...flatten(pre_tokenizer)].some(
    (step) => step.type === 'Metaspace' || (step.type === 'Replace' && step.content === SPACE),
  );
  const plain = preTokenizers(json).every(({ type }) => type === 'Metaspace');
  if (!marksSpaces || !plain || !Object.hasOwn(model.vocab, SPACE) || model.ignore_merges) {
    return false;
  }
  const inside = new RegExp(`\\p{L}${SPACE}`, 'u');
  return !mergePairs(model.merges).some(([left, right]) => inside.test(left + right));
}

/** Without Gemma's, which splits at spaces where none is left: the normalizer has made `▁` of each. */
function preTokenizers({ normalizer, pre_tokenizer }: TokenizerJson): Component[] {
  const noSpaces = flatten(normalizer).some(
    (step) => step.type === 'Replace' && isSpaceReplacement(step),
  );
  return flatten(pre_tokenizer).filter(
    (step) => !(noSpaces && step.type === 'Split' && isSpace(step.pattern)),
  );
}

const isSpace = (pattern: unknown) => (pattern as { String?: string } | undefined)?.String === ' ';

function isSpaceReplacement(step: Component): boolean {
  return isSpace(step.pattern) && step.content === SPACE;
}

/** Whether the token stands anywhere over, just before or just behind the character at the cut. */
function touches(text: string, cut: number, content: string): boolean {
  const from = Math.max(0, cut - content.length);
  return text.slice(from, cut + 1 + content.length).includes(content);
}
