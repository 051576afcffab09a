import type { Dtype } from '../model/architecture';
import type { BlockRole, Site } from '../model/sublayers';
import type { BlockHandle } from './handles';
import type { Matrix } from './matrix';
import { native } from './native';
import type { KernelRun, KernelTiming } from './native-bench';
import type {
  BackwardRunOf,
  ExpertRunOf,
  ExpertTurnOf,
  LowRank,
  LowRankOf,
  OutputColumns,
  SiteRunOf,
} from './native-block';
import type { Purpose } from './native-engine';
import { Owned } from './owned';
import type { Refit } from './refit';
import type { Statistics } from './statistics';

export type SiteRun = SiteRunOf<Matrix, Statistics>;
export type ExpertRun = ExpertRunOf<Matrix, Statistics>;
export type ExpertTurn = ExpertTurnOf<Matrix, Statistics>;
export type BackwardRun = BackwardRunOf<Matrix, Statistics>;
export type LowRankSums = LowRankOf<Statistics>;
export type { LowRank } from './native-block';

/** What an FFN reads and what it is to give, a row a calibration token. */
export interface FfnTokens {
  inputs: Matrix;
  targets: Matrix;
}

/**
 * A loaded block: weights as floats in strips of a store, sliced and refitted in place.
 * Errors: ERR_ARGUMENT, ERR_NAN, ERR_BUDGET, ERR_SCRATCH, ERR_ABORTED.
 */
export class Block extends Owned<BlockHandle> {
  /** In the order in which they run. */
  readonly sites: readonly Site[];

  constructor(handle: BlockHandle, sites: readonly Site[]) {
    super(handle);
    this.sites = sites;
  }

  /** Takes hidden states through a site, and hands out what the run asks for. */
  run(site: Site, run: SiteRun): Promise<void> {
    const { hidden, statistics, keep, inputs, targets, denseBefore, denseAfter } = run;
    return native.runSite(this.handle, site, {
      ...run,
      hidden: hidden.handle,
      statistics: statistics?.handle,
      keep: keep?.handle,
      inputs: inputs?.handle,
      targets: targets?.handle,
      denseBefore: denseBefore?.handle,
      denseAfter: denseAfter?.handle,
    });
  }

  /** hidden += X[:, columns] Wᵀ + bias for activations that a run kept. */
  apply(
    site: Site,
    kept: Matrix,
    columns: Int32Array | null,
    hidden: Matrix,
    purpose: Purpose,
  ): Promise<void> {
    return native.applySite(this.handle, site, kept.handle, columns, hidden.handle, purpose);
  }

  /**
   * gradient: ∂L/∂(the block's output) becomes ∂L/∂(its input); of inputs as many rows as gradient has. Of the sites that
   * are named, `output`, `[hidden]` wide without a residual, receives δ = ∂L/∂y of the output y as it is added to the
   * stream (in a post-norm block: before the norm that follows), and `input`, as wide as the output map has columns, what
   * goes into that map. Of the tensors that `factors` names (a norm, an output map or its bias) each, as wide as the weight
   * has columns, receives the gradients of factors of 1 on its columns: their sums are ∂L/∂(factors). Of matrices that
   * `changes` names, which hold such a product already, the sums receive ∂L/∂(left) and ∂L/∂(right).
   */
  backward(run: BackwardRun): Promise<void> {
    const { inputs, gradient, sums = {}, factors = {}, changes = {} } = run;
    const bySite = Object.entries(sums).map(([site, { output, input }]) => [
      site,
      { output: output?.handle, input: input?.handle },
    ]);
    const byRole = Object.entries(factors).map(([role, statistics]) => [role, statistics.handle]);
    const changed = Object.entries(changes).map(([role, { leftSums, rightSums, ...change }]) => [
      role,
      { ...change, leftSums: leftSums.handle, rightSums: rightSums.handle },
    ]);
    return native.backwardBlock(this.handle, {
      ...run,
      inputs: inputs.handle,
      gradient: gradient.handle,
      sums: Object.fromEntries(bySite),
      factors: Object.fromEntries(byRole),
      changes: Object.fromEntries(changed),
    });
  }

  /** Adds an FFN's hidden activations on those inputs, with what its output map misses of the targets. */
  collectHidden(
    site: Site,
    { inputs, targets }: FfnTokens,
    statistics: Statistics,
    purpose: Purpose,
  ): Promise<void> {
    const sums = statistics.handle;
    return native.collectHidden(this.handle, site, inputs.handle, targets.handle, sums, purpose);
  }

  /** Sums what each expert does for the output. */
  sumExperts(site: Site, run: ExpertRun): Promise<void> {
    const { hidden, statistics, residual } = run;
    return native.sumExperts(this.handle, site, {
      ...run,
      hidden: hidden.handle,
      statistics: statistics.handle,
      residual: residual?.handle,
    });
  }

  /** Puts an expert back into the output, takes another out, and sums what a refit of that one's output map needs. */
  turnExpert(site: Site, turn: ExpertTurn): Promise<void> {
    const { hidden, residual, statistics } = turn;
    return native.turnExpert(this.handle, site, {
      ...turn,
      hidden: hidden.handle,
      residual: residual?.handle,
      statistics: statistics?.handle,
    });
  }

  /** Keeps those experts, ascending, at least as many as a token passes, with their rows of the router. */
  keepExperts(site: Site, kept: Int32Array): Promise<void> {
    return native.keepExperts(this.handle, site, kept);
  }

  /** Keeps rows (axis 0) or columns (axis 1), in the given order. */
  slice(role: BlockRole, axis: 0 | 1, indices: Int32Array): Promise<void> {
    return native.sliceBlock(this.handle, role, axis, indices);
  }

  /** Multiplies the columns of a matrix, or the entries of a vector, and rounds to what is stored. */
  scale(role: BlockRole, factors: Float64Array): Promise<void> {
    return native.scaleBlock(this.handle, role, factors);
  }

  /** Adds such a product to a matrix, and rounds to what is stored. */
  addProduct(role: BlockRole, { rank, left, right }: LowRank): Promise<void> {
    return native.addProduct(this.handle, role, rank, left, right);
  }

  /** Of a matrix's numbers. */
  async rootMeanSquare(role: BlockRole): Promise<number> {
    const [rows, cols] = native.blockShape(this.handle, role)!;
    return Math.sqrt((await native.energyOfTensor(this.handle, role)) / (rows * cols));
  }

  /** Columns of the site's output map, after all slices; of experts the most of those inside, after these. */
  resize(site: Site, columns: number): void {
    native.resizeSite(this.handle, site, columns);
  }

  /** Rounds the output map and its bias to what is stored. */
  finish(site: Site): Promise<void> {
    return native.finishSite(this.handle, site);
  }

  /** The refit's weight and bias become the output map's, not yet rounded. */
  setOutput(site: Site, refit: Refit): Promise<void> {
    return native.setOutput(this.handle, site, refit.handle);
  }

  /** Adds W · means to the output map's bias; columns that stay must have mean 0. */
  addMeanBias(site: Site, means: Float64Array): Promise<void> {
    return native.addMeanBias(this.handle, site, means);
  }

  outputColumns(site: Site): Promise<OutputColumns> {
    return native.outputColumns(this.handle, site);
  }

  /** `[rows, cols]`, vectors `[1, n]`; null where the block has no such tensor. */
  shape(role: BlockRole): [number, number] | null {
    return native.blockShape(this.handle, role);
  }

  /** Columns of a site's output map. */
  width(site: Site): number {
    return this.shape(`${site}.out`)![1];
  }

  /** Rows of a tensor as a file holds them; `ropeHeads` interleaves rows for GGUF. @throws ERR_UNSUPPORTED, ERR_NAN */
  encode(
    role: BlockRole,
    dtype: Dtype,
    row: number,
    count: number,
    ropeHeads: number,
  ): Promise<Uint8Array> {
    return native.encodeBlock(this.handle, role, dtype, row, count, ropeHeads);
  }

  /** Columns of a matrix, each a row of the result; `dtype` is not quantised. @throws ERR_NAN */
  encodeColumns(role: BlockRole, dtype: Dtype, column: number, count: number): Promise<Uint8Array> {
    return native.encodeColumns(this.handle, role, dtype, column, count);
  }

  /** For benchmarks: operations of the forward pass and the solvers at its shapes; tokens in whole windows. */
  timeKernels(run: KernelRun): Promise<KernelTiming[]> {
    return native.timeKernels(this.handle, run);
  }
}
