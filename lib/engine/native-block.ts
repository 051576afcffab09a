import type { BlockRefs, Dtype, Stored } from '../model/architecture';
import type { BlockRole, Site, Sublayer } from '../model/sublayers';
import type {
  BlockHandle,
  FileHandle,
  MatrixHandle,
  RefitHandle,
  StatisticsHandle,
  StoreHandle,
} from './handles';
import type { Purpose } from './native-engine';

export interface BlockSpec {
  hidden: number;
  sublayers: readonly Sublayer[];
  /** Among the model's blocks. */
  index: number;
}

/** Sums that a run makes of the input of the output map. */
export interface SumKinds {
  /** Its sums and squares are kept, */
  collects: boolean;
  /** its Gram matrix too, */
  gram: boolean;
  /** and residuals against dense states. */
  feedback: boolean;
}

/** Of the input and of the output of a site, of one kind or another. */
export interface SiteRunOf<Matrix, Statistics> {
  purpose: Purpose;
  window: number;
  hidden: Matrix;
  /** Whether hidden goes on to what the site makes of it. */
  advance: boolean;
  statistics?: Statistics;
  /** Receives the input of the site's output map, `[tokens, width]`. */
  keep?: Matrix;
  /** FFN: receives what gate and up read, `[tokens, hidden]`, or with a last column of ones. */
  inputs?: Matrix;
  /** Receives the site's target Y, `[tokens, hidden]`. */
  targets?: Matrix;
  denseBefore?: Matrix;
  denseAfter?: Matrix;
  alpha: number;
  beta: number;
  /**
   * What an earlier run over the same tokens made, whose activations this one must repeat to the last bit: its sums, and
   * whether `inputs` and `targets`, which come from the CPU.
   */
  repeats?: SumKinds & { inputs: boolean };
  /** So many of the states' rows alone go on, without sums or anything else that a site hands out. */
  firstRows?: number;
}

export interface BackwardRunOf<Matrix, Statistics> {
  purpose: Purpose;
  window: number;
  inputs: Matrix;
  gradient: Matrix;
  sums?: Readonly<Record<Site, { output?: Statistics; input?: Statistics }>>;
  factors?: Readonly<Record<BlockRole, Statistics>>;
  changes?: Readonly<Record<BlockRole, LowRankOf<Statistics>>>;
}

/** A product left `[rows, rank]` · right `[rank, cols]`, row-major. */
export interface LowRank {
  rank: number;
  left: Float32Array;
  right: Float32Array;
}

/**
 * With sums whose cross products are its gradients: `leftSums`, `[rank]` wide with a residual of `[rows]`, has those of
 * left, and `rightSums`, `[cols]` wide with a residual of `[rank]`, those of right.
 */
export interface LowRankOf<Statistics> extends LowRank {
  leftSums: Statistics;
  rightSums: Statistics;
}

/** A way of the states, which stay as they are, through experts. */
export interface ExpertRunOf<Matrix, Statistics> {
  purpose: Purpose;
  window: number;
  hidden: Matrix;
  /**
   * 3 E + 2 columns without a Gram matrix: for each of E experts the norm of what it adds to a token, its weight included;
   * whether the token passes it; and by how much the squared error of the output would grow if it went too. Then the squared
   * error without `gone`, and the squared norm of the output with all experts, less a shared one.
   */
  statistics: Statistics;
  /** Experts whose router's logits are -inf. */
  gone: Int32Array;
  /** Receives what is missing of the output without `gone`, `[tokens, hidden]`. */
  residual?: Matrix;
}

/** An expert's turn in a refit of the output maps of all: what is missing of the output is kept for all tokens. */
export interface ExpertTurnOf<Matrix, Statistics> {
  purpose: Purpose;
  window: number;
  /** Before the experts; they stay as they are. */
  hidden: Matrix;
  /** `[tokens, hidden]`; left out: nothing is kept of it. */
  residual?: Matrix;
  /** Comes first: less is missing by what this one adds to the output. */
  back?: number;
  /** More is missing by what this one adds. */
  out?: number;
  /** Of tokens that are routed to `out` what its output map reads, times its weight, and, where they are to have it, what is missing with it in. */
  statistics?: Statistics;
}

/** One number a column of a site's output map. */
export interface OutputColumns {
  weightAbsMean: Float64Array;
  weightNormSq: Float64Array;
  weightShare: Float64Array;
}

/** Calls on a loaded block; the class Block says what they do. */
export interface NativeBlock {
  loadBlock(
    store: StoreHandle,
    spec: BlockSpec,
    tensors: BlockRefs,
    files: readonly FileHandle[],
    stored: Stored,
  ): Promise<BlockHandle>;
  runSite(
    block: BlockHandle,
    site: Site,
    run: SiteRunOf<MatrixHandle, StatisticsHandle>,
  ): Promise<void>;
  applySite(
    block: BlockHandle,
    site: Site,
    kept: MatrixHandle,
    columns: Int32Array | null,
    hidden: MatrixHandle,
    purpose: Purpose,
  ): Promise<void>;
  backwardBlock(
    block: BlockHandle,
    run: BackwardRunOf<MatrixHandle, StatisticsHandle>,
  ): Promise<void>;
  collectHidden(
    block: BlockHandle,
    site: Site,
    inputs: MatrixHandle,
    targets: MatrixHandle,
    statistics: StatisticsHandle,
    purpose: Purpose,
  ): Promise<void>;
  sumExperts(
    block: BlockHandle,
    site: Site,
    run: ExpertRunOf<MatrixHandle, StatisticsHandle>,
  ): Promise<void>;
  turnExpert(
    block: BlockHandle,
    site: Site,
    turn: ExpertTurnOf<MatrixHandle, StatisticsHandle>,
  ): Promise<void>;
  keepExperts(block: BlockHandle, site: Site, kept: Int32Array): Promise<void>;
  sliceBlock(block: BlockHandle, role: BlockRole, axis: 0 | 1, indices: Int32Array): Promise<void>;
  scaleBlock(block: BlockHandle, role: BlockRole, factors: Float64Array): Promise<void>;
  addProduct(
    block: BlockHandle,
    role: BlockRole,
    rank: number,
    left: Float32Array,
    right: Float32Array,
  ): Promise<void>;
  energyOfTensor(block: BlockHandle, role: BlockRole): Promise<number>;
  resizeSite(block: BlockHandle, site: Site, columns: number): void;
  finishSite(block: BlockHandle, site: Site): Promise<void>;
  setOutput(block: BlockHandle, site: Site, refit: RefitHandle): Promise<void>;
  addMeanBias(block: BlockHandle, site: Site, means: Float64Array): Promise<void>;
  outputColumns(block: BlockHandle, site: Site): Promise<OutputColumns>;
  blockShape(block: BlockHandle, role: BlockRole): [number, number] | null;
  encodeBlock(
    block: BlockHandle,
    role: BlockRole,
    dtype: Dtype,
    row: number,
    count: number,
    ropeHeads: number,
  ): Promise<Uint8Array>;
  encodeColumns(
    block: BlockHandle,
    role: BlockRole,
    dtype: Dtype,
    column: number,
    count: number,
  ): Promise<Uint8Array>;
}
