/**
 * The native solver of one map (one site), as TypeScript sees it. Every array is per group unless it
 * says otherwise; masks hold one byte a group, 1 = keep. Long calls are promises; await one before the
 * next. Objects hold native memory until `release()` (or the garbage collector); using one after that is
 * ERR_ARGUMENT.
 * Errors: StruPruneError with ERR_ARGUMENT, ERR_NAN, ERR_BUDGET, ERR_NUMERIC or ERR_ABORTED.
 */

import type { Dtype } from '../model/architecture';

/**
 * What an error is measured in: `plain` squares, or the `fisher` metric in nats per token,
 * tr(G Δ H Δᵀ) / (2 tokens), where the solver was given G.
 */
export type Metric = 'plain' | 'fisher';

/** λ as it was used; `ridgeRaised` tells how often a failing Cholesky raised it tenfold. */
export interface RidgeReport {
  lambda: number;
  ridgeRaised: number;
}

export interface SweepOptions {
  /** A bias absorbs the mean (an unpenalised column of ones). Default false. */
  bias?: boolean;
  /** Groups to remove at most. Default all. */
  maxRemoved?: number;
  /** What "cheapest" means. Default 'plain'. */
  selection?: Metric;
  /** What `error` is measured in. Default 'plain'. */
  curve?: Metric;
  /** Cost of each group: the cheapest per unit of it goes first. Default: the cheapest as it is. */
  costs?: Float64Array;
}

export interface SweepResult extends RidgeReport {
  /** Groups in the order of their removal. */
  order: Int32Array;
  /** `[order]` rise of the penalised error by each removal, in the selection metric. */
  cost: Float64Array;
  /** `[order + 1]` E(k): unpenalised error after k removals, each with an exact refit. */
  error: Float64Array;
  /** Largest gap between the running penalised error and the exact one, as a share of ‖Y‖². */
  drift: number;
  refactorings: number;
}

/** Kept columns with their weight, held natively until a block takes it over. */
export interface NativeRefit extends RidgeReport {
  /** ‖Y − XŴᵀ − b̂‖² of the stored (float) weight. */
  readonly error: number;
  /** `error` as a share of ‖XWᵀ + R‖². */
  readonly relativeError: number;
  /** Nats per token; null where the solver has no Fisher matrix. */
  readonly fisherLoss: number | null;
  /** Column indices (not groups), ascending. */
  readonly kept: Int32Array;
  readonly hasBias: boolean;
  /** Copies, for tests and reports: `[out, kept]` and `[out]` or null. */
  weight(): Float32Array;
  bias(): Float32Array | null;
  release(): void;
}

export interface SwapOptions {
  bias?: boolean;
  metric?: Metric;
  /** Default 64. */
  maxSwaps?: number;
}

export interface SwapResult extends RidgeReport {
  keep: Uint8Array;
  /** Pairs (removed, taken back), flattened, in order. */
  swaps: Int32Array;
  /** Exact penalised errors at the start and at the end. */
  before: number;
  after: number;
  /** No single exchange lowers the error any more. */
  settled: boolean;
}

export interface AdmmResiduals {
  /** ‖Ŵ − Z‖. */
  primal: number;
  /** ρ‖Z − Z_before‖. */
  dual: number;
  weightNorm: number;
  targetNorm: number;
  /** ρ‖U‖. */
  dualNorm: number;
}

/** The state and steps of one ADMM run, in coordinates scaled by diag(H_λ)^½. */
export interface NativeAdmm extends RidgeReport {
  /** One Cholesky; rescales U. */
  setRho(rho: number): Promise<void>;
  /** Ŵ ← (W*H + ρ(Z − U))(H + ρI)⁻¹. */
  solve(): Promise<void>;
  /** ‖(Ŵ + U)_g‖²; before the first solve Ŵ is W*. */
  groupEnergies(): Promise<Float64Array>;
  /** Z ← Ŵ + U on the kept groups. */
  project(keep: Uint8Array): Promise<void>;
  /** U ← U + Ŵ − Z. */
  updateDual(): Promise<AdmmResiduals>;
  release(): void;
}

/** One number a column (not a group): what one-shot scores are made of. */
export interface ColumnStatistics {
  weightAbsMean: Float64Array;
  weightNormSq: Float64Array;
  /** Mean of x². */
  second: Float64Array;
  /** Mean of x. */
  mean: Float64Array;
}

/** What each kept group is worth in the exact refit on a mask, in plain squares; 0 where it was removed. */
export interface KeptCosts extends RidgeReport {
  /** Rise of the penalised error when this group goes too. */
  removal: Float64Array;
  /** tr((C_λ)_g Ŵ_gᵀ), its part of what the refit takes off the penalised error; may be negative. */
  explained: Float64Array;
}

export interface NativeSolver {
  readonly columnCount: number;
  readonly groupCount: number;
  /** ‖XWᵀ + R‖². */
  readonly targetNormSq: number;
  columns(): Promise<ColumnStatistics>;
  /** Of the exact refit on the kept groups. */
  costs(keep: Uint8Array, options?: { bias?: boolean }): Promise<KeptCosts>;
  sweep(options?: SweepOptions): Promise<SweepResult>;
  /**
   * Exact refit on the kept groups; `bias` fits one (and adds it where the map has none). `stored` is what the weight will be
   * kept as: Q4_0, Q4_1, Q5_0 and Q5_1, of which the kept columns must be whole blocks of 32, are rounded to here, so that errors
   * make up for each other.
   */
  refit(keep: Uint8Array, options?: { bias?: boolean; stored?: Dtype }): Promise<NativeRefit>;
  /** The kept columns as they are; `meanBias` moves what removed ones gave on average to the bias. */
  slice(keep: Uint8Array, options?: { meanBias?: boolean }): Promise<NativeRefit>;
  swap(keep: Uint8Array, options?: SwapOptions): Promise<SwapResult>;
  admm(options?: { bias?: boolean }): Promise<NativeAdmm>;
  release(): void;
}

/** A site's sums as plain arrays, for tests and for solvers outside an engine. */
export interface SiteSums {
  in: number;
  out: number;
  tokens: number;
  /** `[in, in]` H = XᵀX, full symmetric. */
  gram: Float64Array;
  /** `[in]` column sums of X. */
  sums: Float64Array;
  /** `[out, in]`. */
  weight: Float32Array;
  /** `[out]`. */
  bias?: Float32Array;
  /** R, what the target adds to XWᵀ + b: RᵀX `[out, in]`, its column sums `[out]` and ‖R‖². */
  cross?: Float64Array;
  residualSums?: Float64Array;
  residualNormSq?: number;
  /** `[out, out]` G, symmetric. */
  fisher?: Float64Array;
  /** Ridge on diag(H). Default 0.05. */
  lambda?: number;
  /** Neighbouring columns that go together. Default 1. */
  groupSize?: number;
}

/** The addon's own factory: threads, memory limit in bytes (0 = none), sums. */
export type SolverFromSums = (
  threads: number,
  memory: number,
  sums: SiteSums,
) => Promise<NativeSolver>;
