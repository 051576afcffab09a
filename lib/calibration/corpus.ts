/** Token ids cut into windows, and whether two texts share passages. */
import { StruPruneError } from '../errors';
import type { Steps } from '../turns';

export interface Windows {
  /** `[windows * window]`, window after window. */
  ids: Int32Array;
  windows: number;
}

/**
 * Non-overlapping windows of the first `maxTokens` ids; a short last one is dropped.
 * @throws StruPruneError ERR_TEXT when there is not one whole window.
 */
export function windows(ids: Int32Array, window: number, maxTokens?: number): Windows {
  const available = Math.min(ids.length, maxTokens ?? ids.length);
  const count = Math.floor(available / window);
  if (count < 1) {
    if (maxTokens !== undefined && maxTokens <= ids.length)
      throw fewerThanAWindow(maxTokens, window);
    throw new StruPruneError(
      'ERR_TEXT',
      `the text has ${ids.length} tokens, one window needs ${window}`,
      'give more text or a smaller --window',
    );
  }
  return { ids: ids.subarray(0, count * window), windows: count };
}

/** Of tokens that were asked for. */
export function fewerThanAWindow(tokens: number, window: number): StruPruneError {
  return new StruPruneError(
    'ERR_TEXT',
    `${tokens} tokens were asked for, one window needs ${window}`,
    'ask for more tokens or a smaller --window',
  );
}

/** Tokens of one shingle: no two texts share so long a passage by chance. */
const SHINGLE = 64;
/** Shingles remembered at most, about. Beyond it a sample is compared, chosen by hash: the same in both texts. */
const MAX_SHINGLES = 1 << 16;
/** Shingles between two pauses: less than a millisecond. */
const SHINGLES_A_PAUSE = 1 << 10;

/**
 * A warning when passages of the evaluation text stand in the calibration text too, or null. The share counts the
 * evaluation text's shingles of 64 tokens that the calibration text also has, wherever they stand.
 */
export function* overlapWarning(
  calibrationIds: Int32Array,
  evaluationIds: Int32Array,
): Steps<string | null> {
  const every = Math.max(1, Math.ceil(calibrationIds.length / MAX_SHINGLES));
  const known = new Set<number>();
  for (const hash of shingles(calibrationIds, every)) {
    known.add(hash);
    if (known.size % SHINGLES_A_PAUSE === 0) yield;
  }
  let total = 0;
  let shared = 0;
  for (const hash of shingles(evaluationIds, every)) {
    total++;
    if (known.has(hash)) shared++;
    if (total % SHINGLES_A_PAUSE === 0) yield;
  }
  if (shared === 0) return null;
  const share = shared / total;
  const percent = share < 0.001 ? 'less than 0.1' : (100 * share).toFixed(1);
  return (
    `calibration and evaluation text overlap: ${percent} % of the evaluation text also stands in the ` +
    'calibration text, so its perplexity flatters the pruned model'
  );
}

/** Hashes (53 bits) of all runs of 64 ids, one of `every` kept. Rolling: two polynomials modulo 2^32. */
function* shingles(ids: Int32Array, every: number): Generator<number, void> {
  const first = 0x9e3779b1;
  const second = 0x85ebca77;
  let firstOut = 1; // what an id that leaves the run is worth
  let secondOut = 1;
  for (let i = 0; i < SHINGLE; i++) {
    firstOut = Math.imul(firstOut, first);
    secondOut = Math.imul(secondOut, second);
  }
  let a = 0;
  let b = 0;
  for (const [i, id] of ids.entries()) {
    // + 1, so that a run of zeros is not the empty run.
    a = (Math.imul(a, first) + id + 1) | 0;
    b = (Math.imul(b, second) + id + 1) | 0;
    if (i >= SHINGLE) {
      const gone = ids[i - SHINGLE]! + 1;
      a = (a - Math.imul(gone, firstOut)) | 0;
      b = (b - Math.imul(gone, secondOut)) | 0;
    }
    if (i < SHINGLE - 1) continue;
    // The low bits of such a hash depend on few ids only: mix before sampling.
    const mixed = Math.imul(a ^ (a >>> 15), 0x2c1b3c6d) >>> 0;
    if (mixed % every === 0) yield (a >>> 0) * 2 ** 21 + (b >>> 11);
  }
}
