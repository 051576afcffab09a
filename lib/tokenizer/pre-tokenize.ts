/** Pre-tokenizers of tokenizer.json: a text to words. */
import { byteSpelling } from './byte-level';
import { GPT2_PATTERN } from './patterns';
import { regexFor } from './regex';
import { type PreTokenizerStep, type SplitBehavior, stepsOf, unsupported } from './schema';
import { flatten, type TokenizerJson } from './types';

/** @param first whether the text is the first of what was given */
export type Cut = (text: string, first: boolean) => string[];

/**
 * The steps as one function.
 * @throws StruPruneError ERR_UNSUPPORTED where a prefix of the first word alone is asked for behind another step: Rust goes by
 *   where the word stood in the text
 */
export function preTokenizerOf(json: TokenizerJson): Cut {
  const steps = stepsOf(json, 'pre_tokenizer') ?? [];
  const prefixesFirst = steps.findIndex(
    (step) => step.type === 'Metaspace' && step.prepend_scheme === 'first',
  );
  if (prefixesFirst > 0 || (prefixesFirst === 0 && flatten(json.normalizer).length > 0)) {
    throw unsupported('Metaspace with the prepend_scheme "first" behind another step');
  }
  return inTurn(steps.map(one));
}

/** The steps one after the other, each on the words of the one before. */
export function inTurn(steps: readonly Cut[]): Cut {
  return (text, first) =>
    steps.reduce(
      (words, step) => words.flatMap((word, i) => step(word, first && i === 0)),
      text === '' ? [] : [text],
    );
}

function one(step: PreTokenizerStep): Cut {
  switch (step.type) {
    case 'ByteLevel': {
      const regex = step.use_regex === false ? null : regexFor({ Regex: GPT2_PATTERN });
      return (text) => {
        const prefixed = step.add_prefix_space && !text.startsWith(' ') ? ` ${text}` : text;
        const words = regex ? split(prefixed, regex, 'Isolated', false) : [prefixed];
        return words.map(byteSpelling);
      };
    }
    case 'Digits': {
      const regex = regexFor({ Regex: String.raw`\p{N}` });
      return (text) =>
        split(text, regex, step.individual_digits ? 'Isolated' : 'Contiguous', false);
    }
    case 'Split': {
      const regex = regexFor(step.pattern);
      return (text) => split(text, regex, step.behavior, step.invert);
    }
    case 'Metaspace':
      return metaspaceCut(step);
  }
}

/** Spaces become the sign, one is put in front, and every word begins with it. */
export function metaspaceCut(step: Extract<PreTokenizerStep, { type: 'Metaspace' }>): Cut {
  const { replacement, prepend_scheme: scheme = 'always' } = step;
  const regex = regexFor({ String: replacement });
  return (text, first) => {
    const marked = text.replaceAll(' ', () => replacement);
    const prepends = scheme === 'always' || (scheme === 'first' && first);
    const whole = prepends && !marked.startsWith(replacement) ? replacement + marked : marked;
    return step.split === false ? [whole] : split(whole, regex, 'MergedWithNext', false);
  };
}

interface Span {
  from: number;
  to: number;
  matches: boolean;
}

/** Rust's `NormalizedString::split`. */
function split(text: string, regex: RegExp, behavior: SplitBehavior, invert: boolean): string[] {
  const spans: Span[] = [];
  let done = 0;
  for (const { index, 0: match } of text.matchAll(regex)) {
    if (done < index) spans.push({ from: done, to: index, matches: invert });
    done = index + match.length;
    spans.push({ from: index, to: done, matches: !invert });
  }
  if (done < text.length) spans.push({ from: done, to: text.length, matches: invert });
  return joined(spans, behavior).map(({ from, to }) => text.slice(from, to));
}

function joined(spans: Span[], behavior: SplitBehavior): Span[] {
  switch (behavior) {
    case 'Isolated':
      return spans;
    case 'Removed':
      return spans.filter(({ matches }) => !matches);
    case 'Contiguous':
      return joinedWithLast(spans, (span, last) => span.matches === last);
    case 'MergedWithPrevious':
      return joinedWithLast(spans, (span, last) => span.matches && !last);
    case 'MergedWithNext':
      return joinedWithLast(spans.reverse(), (span, last) => span.matches && !last).reverse();
  }
}

/** @param joins whether a span joins what was made of those before it; `last`: whether the one before it matches */
function joinedWithLast(spans: Span[], joins: (span: Span, last: boolean) => boolean): Span[] {
  const found: Span[] = [];
  let last = false;
  for (const span of spans) {
    const open = found.at(-1);
    if (open && joins(span, last)) {
      open.from = Math.min(open.from, span.from);
      open.to = Math.max(open.to, span.to);
    } else {
      found.push({ ...span });
    }
    last = span.matches;
  }
  return found;
}
