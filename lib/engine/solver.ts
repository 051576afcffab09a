import type { Site } from '../model/sublayers';
import { Admm } from './admm';
import type { Block } from './block';
import type { SolverHandle } from './handles';
import type { MetricPlace } from './matrix';
import { native } from './native';
import type {
  ColumnStatistics,
  KeptCosts,
  ProblemReport,
  RefitOptions,
  SiteSums,
  SliceOptions,
  SolverOptionsOf,
  StatisticsProblem,
  SwapOptions,
  SwapResult,
  SweepOptions,
  SweepResult,
} from './native-solver';
import { Owned } from './owned';
import { Refit } from './refit';
import type { Statistics } from './statistics';

export type SolverOptions = SolverOptionsOf<MetricPlace>;

/**
 * The native solver of one map (one site). Every array is per group unless it says otherwise; masks hold one byte a group,
 * 1 = keep. Long calls are promises; await one before the next.
 * Errors: StruPruneError with ERR_ARGUMENT, ERR_NAN, ERR_BUDGET, ERR_NUMERIC or ERR_ABORTED.
 */
export class Solver extends Owned<SolverHandle> implements ProblemReport {
  readonly columnCount: number;
  readonly groupCount: number;
  readonly targetNormSq: number;

  constructor(handle: SolverHandle) {
    super(handle);
    const { columnCount, groupCount, targetNormSq } = native.readSolver(handle);
    this.columnCount = columnCount;
    this.groupCount = groupCount;
    this.targetNormSq = targetNormSq;
  }

  /** Of a site's output map and the sums over its inputs, which must not change while the solver lives. */
  static async of(
    block: Block,
    site: Site,
    statistics: Statistics,
    { metric, ...options }: SolverOptions,
  ): Promise<Solver> {
    const place = metric && { matrix: metric.matrix.handle, row: metric.row };
    const made = { ...options, metric: place };
    return new Solver(await native.createSolver(statistics.handle, block.handle, site, made));
  }

  /** Of any map of inputs that were summed; the sums stay as they are. @throws ERR_ARGUMENT, ERR_NAN */
  static async ofStatistics(statistics: Statistics, problem: StatisticsProblem): Promise<Solver> {
    return new Solver(await native.solverOfStatistics(statistics.handle, problem));
  }

  /** Of plain arrays, on threads of its own under a memory limit in bytes (0 = none): for tests. */
  static async fromSums(threads: number, memory: number, sums: SiteSums): Promise<Solver> {
    return new Solver(await native.solverFromSums(threads, memory, sums));
  }

  columns(): Promise<ColumnStatistics> {
    return native.solverColumns(this.handle);
  }

  /** Of the exact refit on the kept groups. */
  costs(keep: Uint8Array, options?: { bias?: boolean }): Promise<KeptCosts> {
    return native.solverCosts(this.handle, keep, options);
  }

  sweep(options?: SweepOptions): Promise<SweepResult> {
    return native.solverSweep(this.handle, options);
  }

  /** Exact refit on the kept groups. */
  async refit(keep: Uint8Array, options?: RefitOptions): Promise<Refit> {
    return new Refit(await native.solverRefit(this.handle, keep, options));
  }

  /** The kept columns as they are. */
  async slice(keep: Uint8Array, options?: SliceOptions): Promise<Refit> {
    return new Refit(await native.solverSlice(this.handle, keep, options));
  }

  swap(keep: Uint8Array, options?: SwapOptions): Promise<SwapResult> {
    return native.solverSwap(this.handle, keep, options);
  }

  async admm(options?: { bias?: boolean }): Promise<Admm> {
    return new Admm(await native.createAdmm(this.handle, options));
  }
}
