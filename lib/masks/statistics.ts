import { StruPruneError } from '../errors';

/**
 * What a score may ask about one site: the output map of a block's FFN (down, fc2) or attention (o), whose
 * input columns are cut in groups. Columns of a group are neighbours: one column for an FFN channel,
 * query heads per KV head × head_dim for a KV head. W is `[out, in]`, X `[tokens, in]`.
 */
export interface SiteStatistics {
  /** Columns in a group; divides `in`. */
  groupSize: number;
  /** `[in]` Σ_i W_ij² over the outputs i. */
  weightNormSq: Float64Array;
  /** `[in]` mean over the outputs of |W_ij|. */
  weightAbsMean: Float64Array;
  /** `[in]` Σ_i |W_ij| ÷ Σ_k |W_ik|: what share of their sizes the outputs have in it. */
  weightShare: Float64Array;
  /** `[in]` mean of x_j² over the tokens; absent where only weights are scored. */
  second?: Float64Array;
  /** `[in]` mean of x_j over the tokens. */
  mean?: Float64Array;
  /** `[groups]` what share of all layers' weights goes before the group, where one order of all was found. */
  order?: Float64Array;
  /** Rows of X; 1 where their number, a factor of all scores alike, does not matter. */
  tokens?: number;
}

/** Σ over the columns of each group. */
export function sumOverGroups(columns: Float64Array, groupSize: number): Float64Array {
  const sums = new Float64Array(columns.length / groupSize);
  columns.forEach((value, j) => {
    sums[Math.floor(j / groupSize)]! += value;
  });
  return sums;
}

/** Column moments of X, checked to be there and finite. */
export function momentsOf(site: SiteStatistics) {
  const { second, mean, tokens } = site;
  if (!second || !mean || !tokens) {
    throw new StruPruneError('ERR_INTERNAL', 'this score needs column statistics of the inputs');
  }
  if (!second.every(Number.isFinite) || !mean.every(Number.isFinite)) {
    throw new StruPruneError('ERR_NAN', 'the inputs of a map are not finite');
  }
  return { second, mean, tokens };
}
