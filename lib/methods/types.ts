import type { AllocationRule } from '../allocation';
import type { MaskRecipe } from '../masks';
import type { MaskFunction } from '../masks/own';
import type { ScoreName } from '../masks/scores';
import type { SiteStatistics } from '../masks/statistics';
import type { Own } from '../own';

/** What a method may leave to the caller: options of prune(), with what the model decides of them. */
export interface MethodOptions {
  mask: 'sweep' | 'admm' | 'gumbel' | ScoreName | Own<MaskFunction>;
  admmStart: 'none' | 'sweep' | ScoreName;
  admmRho: number;
  admmGrowth: number;
  admmTolerance: number;
  admmIterations: number;
  maskSamples: number;
  seed?: number;
  selection: MaskRecipe['metric'];
  swaps: number;
  lambda?: number;
  refit: boolean;
  bias: RefitRecipe['bias'];
  ffnSolver: 'output' | 'auxiliary' | 'gauss-newton';
  auxiliaryIterations: number;
  gaussNewtonRounds: number;
  gaussNewtonSteps: number;
  ffnTokens: number;
  sequential: boolean;
  alpha: number;
  beta: number;
  surveyTokens: number;
}

/** What has to be gathered of a site: nothing but its weights, moments of its columns, the Gram, or its groups' places in one order of all. */
export type StatisticsNeeded = 'none' | 'diagonal' | 'gram' | 'order';

/**
 * `[groups]` what the loss of each group counts when layers compete for one budget, by one-shot scores, in their order.
 * `cost` = weights in a group. `removalCurve` makes an error curve of it.
 */
export type Losses = (site: SiteStatistics, cost: number) => Float64Array;

/** What the weights that stay become. */
export interface RefitRecipe {
  /** Of the output map: exact least squares, its columns as they are, or these with the mean of what goes in the bias. */
  output: 'exact' | 'kept' | 'mean-bias';
  /** Of an exact refit: whether the map's bias stays, is refitted where there is one, or is added. */
  bias: 'keep' | 'refit' | 'add';
  /** Of an FFN's gate and up. */
  inputs: InputsRecipe;
  /** Shares of the error so far and of the dense output in a block's target. */
  alpha: number;
  beta: number;
}

/** `tokens`: calibration tokens of a round or iteration. */
export type InputsRecipe =
  | { by: 'none' }
  | { by: 'auxiliary'; iterations: number; tokens: number }
  | { by: 'gauss-newton'; rounds: number; steps: number; tokens: number };

export interface Recipe {
  statistics: StatisticsNeeded;
  /**
   * Whose inputs a solve reads: none, as the survey has measured the dense model; the dense model's own; or those that the
   * model pruned so far gives.
   */
  inputs: 'survey' | 'dense' | 'sequential';
  /** What an allocation reads: error curves of exact sweeps, or losses by one-shot scores. */
  curves: 'sweep' | Losses;
  /** Statistics other than the Gram are for scores alone. */
  mask: MaskRecipe;
  refit: RefitRecipe;
}

/** A named recipe of statistics, mask, allocation and refit. */
export interface Method {
  name: string;
  /** Where it was published, for reports. */
  source: string;
  /** The only scope that it has, where it has not all but `experts`. */
  scope?: 'experts';
  /** It chooses among the channels inside experts too, */
  insideExperts?: true;
  /** and whole experts beside them. */
  wholeExperts?: true;
  /** Which of the options under Mask, Refit and Allocation it reads. */
  reads: 'all' | readonly (keyof MethodOptions)[];
  /** First one is the default. */
  allocations: readonly [AllocationRule, ...AllocationRule[]];
  recipe(options: MethodOptions): Recipe;
}
