/** `Replace`, which is a normalizer and a decoder. */
import { type Pattern, regexFor } from './regex';
import { unsupported } from './schema';

export interface Replace {
  pattern: Pattern;
  content: string;
}

/** Larger than any tokenizer's that is in use, and small enough for the memory that a text may take. */
const MOST_GROWTH = 64;

export function replacer({ pattern, content }: Replace): (text: string) => string {
  const regex = regexFor(pattern);
  // A function, for in a text `$&` and the like would be expanded.
  return (text) => text.replace(regex, () => content);
}

/** @throws StruPruneError ERR_UNSUPPORTED for steps that together may make a text many times as long */
export function requireBounded(steps: readonly (Replace | { type: string })[]): void {
  const growth = steps.reduce(
    (product, step) => product * ('content' in step && 'pattern' in step ? growthOf(step) : 1),
    1,
  );
  if (growth > MOST_GROWTH) {
    throw unsupported(`steps that may make a text more than ${MOST_GROWTH} times as long`);
  }
}

function growthOf({ pattern, content }: Replace): number {
  const least = 'String' in pattern ? pattern.String.length : 1;
  return Math.max(1, content.length / least);
}
