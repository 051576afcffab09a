/** Groups by score, lowest first; of equal scores the higher index first. */
export function worstFirst(scores: Float64Array): number[] {
  return [...scores.keys()].sort((a, b) => scores[a]! - scores[b]! || b - a);
}

/** Indices of the groups to keep, ascending, after the `removed` lowest scores went. */
export function keepBest(scores: Float64Array, removed: number): Int32Array {
  return Int32Array.from(worstFirst(scores).slice(removed)).sort();
}

/**
 * Error curve for the allocation: [k] = sum of the k smallest losses, so that the threshold rule becomes one
 * threshold on loss per weight over all layers. Length groups + 1.
 */
export function removalCurve(losses: Float64Array): Float64Array {
  const curve = new Float64Array(losses.length + 1);
  losses.toSorted().forEach((loss, k) => {
    curve[k + 1] = curve[k]! + loss;
  });
  return curve;
}
