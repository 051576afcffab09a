/** The part of a vocabulary that stands for it where distributions are compared for a price (docs/method.md, section 5). */

/** Vocabularies up to here stand for themselves. */
const SMALL = 8192;
/** Of a larger one so many are taken, */
const SHARE = 1 / 8;
/** most of them the text's own, its most frequent first, */
const OF_THE_TEXT = 3 / 4;
/** and at least so many in all. */
const LEAST = 4096;
/** Of the text its first tokens, so that trials of widths and of whole sublayers compare over the same sample. */
const READ = 16_384;

/** Tokens of a sample; all of them where it is no smaller. */
export function sampleSize(vocab: number): number {
  return vocab <= SMALL ? vocab : Math.max(LEAST, Math.ceil(vocab * SHARE));
}

/**
 * Tokens in rising order, `sampleSize(vocab)` of them: frequent ones of the text, and of all others every so-many-th. Left out
 * where that is all.
 */
export function sampleOfVocabulary(vocab: number, text: Int32Array): number[] | undefined {
  const size = sampleSize(vocab);
  if (size === vocab) return undefined;
  const counts = new Uint32Array(vocab);
  for (const token of text.subarray(0, READ)) counts[token]!++;
  const seen = [...counts.keys()].filter((token) => counts[token]! > 0);
  seen.sort((a, b) => counts[b]! - counts[a]! || a - b);
  const frequent = seen.slice(0, Math.floor(size * OF_THE_TEXT));
  const taken = new Set(frequent);
  const others = [...counts.keys()].filter((token) => !taken.has(token));
  const wanted = size - frequent.length;
  const spread = Array.from(
    { length: wanted },
    (_, i) => others[Math.floor((i * others.length) / wanted)]!,
  );
  return [...frequent, ...spread].sort((a, b) => a - b);
}
