import type { AllocationRule } from '../allocation';

/**
 * What a method may ask about one site: the output map of a block's FFN (down, fc2) or attention (o), whose
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
  /** `[in]` mean of x_j² over the tokens; absent where the method declares statistics 'none'. */
  second?: Float64Array;
  /** `[in]` mean of x_j over the tokens. */
  mean?: Float64Array;
  /** Rows of X. */
  tokens?: number;
}

/** What has to be gathered before a site can be scored: nothing but weights, column moments, or the Gram. */
export type StatisticsNeeded = 'none' | 'diagonal' | 'gram';

interface MethodBase {
  name: string;
  /** Where it was published, for reports. */
  source: string;
  statistics: StatisticsNeeded;
  /** Whose hidden states the statistics come from: the dense model's, or those of the model pruned so far. */
  inputs: 'dense' | 'sequential';
  /** Whether the kept columns are refitted exactly afterwards. */
  refit: boolean;
  /** Whether the mean of what is removed goes into the output map's bias. */
  meanBias: boolean;
  /** Which of StruPrune's own options it reads too (OWN_OPTIONS of lib/pruning/options.ts). */
  reads: readonly string[];
  /** First one is the default. */
  allocations: readonly [AllocationRule, ...AllocationRule[]];
}

/** Scores every group once and keeps the best. */
export interface ScoreMethod extends MethodBase {
  selection: 'scores';
  /** `[groups]`, higher = keep. Comparable within the site only. */
  scores(site: SiteStatistics): Float64Array;
  /**
   * `[groups]` what the loss of each group counts when layers compete for one budget; same order as
   * `scores`. `cost` = weights in a group. `removalCurve` makes an error curve of it.
   */
  losses(site: SiteStatistics, cost: number): Float64Array;
}

/** Removes groups with the others refitted: one after the other, as the native sweep does, or in rounds. */
export interface SweepMethod extends MethodBase {
  selection: 'sweep';
  /** Whether a swap pass (kept for removed while the exact error falls) ends it. */
  swap: boolean;
  /** Rounds of a site's removals; absent: one after the other. */
  rounds?: Readonly<Record<'attention' | 'ffn', number>>;
}

export type Method = ScoreMethod | SweepMethod;
