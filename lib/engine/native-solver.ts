/** A site's problem, what is asked of it and what it answers. */
import type { Dtype } from '../model/architecture';
import type { Site } from '../model/sublayers';
import type {
  AdmmHandle,
  BlockHandle,
  MatrixHandle,
  RefitHandle,
  SolverHandle,
  StatisticsHandle,
  StoreHandle,
} from './handles';

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

/** What a refit came to. */
export interface RefitReport extends RidgeReport {
  /** ‖Y − XŴᵀ − b̂‖² of the stored (float) weight. */
  readonly error: number;
  /** `error` as a share of ‖XWᵀ + R‖². */
  readonly relativeError: number;
  /** Nats per token; null where the solver has no Fisher matrix. */
  readonly fisherLoss: number | null;
  /** Column indices (not groups), ascending. */
  readonly kept: Int32Array;
  readonly hasBias: boolean;
}

export interface RefitOptions {
  /** Fit a bias, and add it where the map has none. Default false. */
  bias?: boolean;
  /**
   * What the weight will be kept as: Q4_0, Q4_1, Q5_0 and Q5_1, of which the kept columns must be whole blocks of 32, are
   * rounded to here, so that errors make up for each other. Default F32.
   */
  stored?: Dtype;
}

export interface SliceOptions {
  /** Move what removed columns gave on average to the bias. Default false. */
  meanBias?: boolean;
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

/** One number a column (not a group): what one-shot scores are made of. */
export interface ColumnStatistics {
  weightAbsMean: Float64Array;
  weightNormSq: Float64Array;
  weightShare: Float64Array;
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

/** A site's sums as plain arrays. */
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

/** A map of the inputs that were summed, `[out, dim]`. */
export interface StatisticsProblem {
  out: number;
  weight: Float32Array;
  /** `[dim]` sums are taken about them; null: about 0. */
  means: Float64Array | null;
  /** Ridge on diag(H). */
  lambda: number;
  /** Neighbouring columns that go together. */
  groupSize: number;
}

/** What every answer to a problem is relative to. */
export interface ProblemReport {
  readonly columnCount: number;
  readonly groupCount: number;
  /** ‖XWᵀ + R‖². */
  readonly targetNormSq: number;
}

/** How a site is solved: λ, columns of a group, and where its Fisher metric lies. */
export interface SolverOptionsOf<Place> {
  lambda: number;
  group: number;
  metric: Place | null;
}

/** Calls on a problem, a refit and an ADMM run; the classes Solver, Refit and Admm say what they do. */
export interface NativeSolvers {
  createSolver(
    statistics: StatisticsHandle,
    block: BlockHandle,
    site: Site,
    options: SolverOptionsOf<{ matrix: MatrixHandle; row: number }>,
  ): Promise<SolverHandle>;
  solverOfSums(store: StoreHandle, sums: SiteSums): Promise<SolverHandle>;
  solverOfStatistics(
    statistics: StatisticsHandle,
    problem: StatisticsProblem,
  ): Promise<SolverHandle>;
  solverFromSums(threads: number, memory: number, sums: SiteSums): Promise<SolverHandle>;
  readSolver(solver: SolverHandle): ProblemReport;
  solverColumns(solver: SolverHandle): Promise<ColumnStatistics>;
  solverCosts(
    solver: SolverHandle,
    keep: Uint8Array,
    options?: { bias?: boolean },
  ): Promise<KeptCosts>;
  solverSweep(solver: SolverHandle, options?: SweepOptions): Promise<SweepResult>;
  solverRefit(solver: SolverHandle, keep: Uint8Array, options?: RefitOptions): Promise<RefitHandle>;
  solverSlice(solver: SolverHandle, keep: Uint8Array, options?: SliceOptions): Promise<RefitHandle>;
  solverSwap(solver: SolverHandle, keep: Uint8Array, options?: SwapOptions): Promise<SwapResult>;
  createAdmm(solver: SolverHandle, options?: { bias?: boolean }): Promise<AdmmHandle>;

  readRefit(refit: RefitHandle): RefitReport;
  refitWeight(refit: RefitHandle): Float32Array;
  refitBias(refit: RefitHandle): Float32Array | null;

  readAdmm(admm: AdmmHandle): RidgeReport;
  admmSetRho(admm: AdmmHandle, rho: number): Promise<void>;
  admmSolve(admm: AdmmHandle): Promise<void>;
  admmGroupEnergies(admm: AdmmHandle): Promise<Float64Array>;
  admmProject(admm: AdmmHandle, keep: Uint8Array): Promise<void>;
  admmUpdateDual(admm: AdmmHandle): Promise<AdmmResiduals>;
}
