import { StruPruneError } from '../errors';

export interface RoundingBounds {
  /** Kept groups must be a multiple of this (FFN widths: 8 for hf, 32 or 256 for GGUF types; KV heads: 1). */
  multiple: number;
  /** Fewest groups to keep. */
  minKeep: number;
  /** s_max: largest share of the groups that may go, in [0, 1]. */
  maxShare: number;
  /** Length of the error curve − 1, where it ends before maxShare does. */
  maxRemoved?: number;
}

/**
 * Removal counts that leave an allowed width, ascending. 0 is always among them, also where the dense
 * width is no multiple: a layer that nothing is taken from stays as it is.
 */
export function allowedRemovals(groups: number, bounds: RoundingBounds): Int32Array {
  const { multiple, minKeep, maxShare } = bounds;
  if (!Number.isInteger(multiple) || multiple < 1) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `width multiple ${multiple} is not a whole number ≥ 1`,
    );
  }
  if (!(maxShare >= 0 && maxShare <= 1)) {
    throw new StruPruneError('ERR_ARGUMENT', `largest layer sparsity ${maxShare} is not in [0, 1]`);
  }
  // 0.9 · 160 is 144 in exact arithmetic; the small term keeps a rounded product from losing a step.
  const share = Math.floor(maxShare * groups + 1e-9);
  const most = Math.min(share, groups - minKeep, bounds.maxRemoved ?? groups);
  const counts = [0];
  for (let removed = groups % multiple || multiple; removed <= most; removed += multiple) {
    counts.push(removed);
  }
  return Int32Array.from(counts);
}

/** How many units of `columns` columns each are a multiple of `multiple` columns together; whole multiples of that many are too. */
export function unitsOfMultiple(multiple: number, columns: number): number {
  return multiple / greatestCommonDivisor(multiple, columns);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** R = ⌈S · total⌉, not counting a rounding error of the product as one more weight. */
export function weightsToRemove(sparsity: number, total: number): number {
  if (!(sparsity >= 0 && sparsity < 1)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `sparsity ${sparsity} is not in [0, 1)`,
      'give the share of the linear weights to remove, for example 0.2',
    );
  }
  return Math.max(0, Math.ceil(sparsity * total - Math.min(0.5, 1e-12 * total)));
}

/** Place of the entry of an ascending list that is nearest to x, the smaller one of two equally near. */
export function placeNearest(ascending: ArrayLike<number>, x: number): number {
  const above = placeAtLeast(ascending, x);
  const below = Math.max(0, above - 1);
  return ascending[above]! - x < x - ascending[below]! ? above : below;
}

/** Place of the smallest entry ≥ x (to within 1e-9, for products of shares), or the last one. */
export function placeAtLeast(ascending: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = ascending.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! >= x - 1e-9) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Place of the largest entry ≤ x (to within 1e-9), or the first one. */
export function placeAtMost(ascending: ArrayLike<number>, x: number): number {
  const place = placeAtLeast(ascending, x);
  return ascending[place]! <= x + 1e-9 ? place : Math.max(0, place - 1);
}

/**
 * x with its last 13 bits of mantissa rounded off (Veltkamp's splitting; + − × only, so every engine
 * agrees). Math.log may differ between JavaScript engines in the last bit: what decides goes through here.
 */
export function dropLastBits(x: number): number {
  const scaled = x * 8193;
  return scaled - (scaled - x);
}
