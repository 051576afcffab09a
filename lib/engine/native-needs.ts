/** Useful flops of products in single precision (forward, backward, Grams), of those that search, and in double (solvers). */
export interface Flops {
  single: number;
  searching: number;
  double: number;
}

/** What the native side says of its calls before any of them runs. */
import type { Dtype, ModelRole } from '../model/architecture';
import type { BlockRole, Site } from '../model/sublayers';
import type { EngineHandle } from './handles';
import type { BlockSpec, SumKinds } from './native-block';
import type { EndsSpec } from './native-ends';

export interface Needs {
  /** Most bytes that are charged to the engine's budget at a time. */
  memory: number;
  /** Most bytes of tiles and strips that lie in scratch beside them. */
  scratch: number;
  /** Most bytes of the GPU's memory in use at a time; 0 on the CPU. */
  device: number;
  /** Ways over the tokens that sums take, where a GPU does not hold all of them at once. */
  passes: number;
  /** Bytes of sums that a rank sends to others, where they share the tokens. */
  sent: number;
  flops: Flops;
}

/** Tokens of the matrices that a call works on, in pages of whole windows. */
export interface Tokens {
  rows: number;
  window: number;
  /** Only what is at hand of them is in memory; else all of them are, and count elsewhere. */
  paged: boolean;
  /** A rank of those that share them; left out where one has all. */
  share?: { rank: number; ranks: number } | undefined;
}

/** What a runSite that advances the states is asked for beside. */
export interface SiteDemand extends SumKinds {
  /** Whether the input of the output map is kept. */
  keeps: boolean;
  /** Columns of what a solver of the FFN's input weights gets, with a target a token; 0: nothing. */
  inputs: number;
}

/** What an expert's turn is for. */
export interface TurnDemand {
  /** Experts that there are. */
  left: number;
  /** Whether its sums have a Gram matrix, */
  gram: boolean;
  /** and what is missing of the output is kept. */
  residual: boolean;
}

/** Columns of what is summed, whether their Gram matrix is wanted too, and columns of a residual. */
export interface StatisticsSizes {
  dim: number;
  gram: boolean;
  residual: number;
}

/** A site's problem: columns of its output map, its rows, and what else it knows. */
export interface ProblemSizes {
  inputs: number;
  outputs: number;
  /** Columns of a group. */
  group: number;
  /** Feedback: the target differs from the map's own output. */
  cross: boolean;
  /** Solved in the Fisher metric. */
  fisher: boolean;
}

/** Of tiled matrices and of blocks only the tiles and strips at hand are in memory. */
interface Paged {
  paged: boolean;
}
interface OfBlock {
  block: BlockSpec;
}
interface OfEnds {
  ends: Pick<EndsSpec, 'hidden' | 'vocab' | 'embeddingWidth'> & {
    tensors: readonly ModelRole[];
    /** Logits are. */
    capped: boolean;
  };
  tokens: Tokens;
}
interface OfProblem extends Paged {
  problem: ProblemSizes;
}
/** From the solver's making to its end, with the refits of the output map between its rounds. */
interface OfInputRefit extends OfBlock, Paged {
  site: Site;
  /** Of gate and up that are left. */
  channels: number;
  /** Columns of what gate and up read. */
  inputs: number;
  tokens: Tokens;
  /** Tokens that a round takes. */
  taken: number;
  rounds: number;
  stored: Dtype;
}

/** Of which tensors factors are summed on the way back: of none, of the output maps alone, of all that are tuned. */
export type Factored = 'none' | 'outputs' | 'all';

/** Calls by their names, with what their needs depend on. */
export interface Calls {
  /** As long as it lives. */
  matrix: { rows: number; cols: number };
  copyMatrix: { tokens: Tokens; cols: number };
  /** As long as it lives. */
  loadBlock: OfBlock & Paged & { roles: readonly BlockRole[] };
  /** Of rows with so many bytes as floats at a time. */
  encodeBlock: OfBlock & { roles: readonly BlockRole[]; bytes: number };
  /** As long as they live. */
  statistics: Paged & StatisticsSizes;
  /** Beside the block, the states and the statistics, as the next ones. */
  runSite: OfBlock & Paged & SiteDemand & { site: Site; tokens: Tokens };
  /** `residual`: with what is missing of the output. */
  sumExperts: OfBlock & Paged & { site: Site; tokens: Tokens; residual: boolean };
  /** Beside the statistics. */
  turnExpert: OfBlock & Paged & TurnDemand & { site: Site; tokens: Tokens };
  applySite: OfBlock & { site: Site; tokens: Tokens };
  /** Beside `sums`. `factors`: those of which tensors; `rank`: of changes of all matrices, 0: none. */
  backwardBlock: OfBlock &
    Paged & { tokens: Tokens; sums: readonly StatisticsSizes[]; factors: Factored; rank: number };
  embed: OfEnds;
  score: OfEnds;
  expectHead: OfEnds;
  divergenceFrom: OfEnds;
  headGradient: OfEnds;
  /** With the factors of the final norm, beside their statistics. */
  divergenceGradient: OfEnds;
  /** At rest, beside the statistics. The steps below count it too. */
  solver: OfProblem;
  createSolver: OfProblem;
  sweep: OfProblem & { removed: number };
  refit: OfProblem & { kept: number; stored: Dtype };
  slice: OfProblem & { kept: number };
  swap: OfProblem & { kept: number };
  admm: OfProblem;
  gaussNewton: OfInputRefit & { steps: number };
  auxiliary: OfInputRefit;
}

export interface NativeNeeds {
  /** @throws ERR_BUDGET where the memory of the engine's GPU cannot do */
  needsOf<Name extends keyof Calls>(engine: EngineHandle, call: Name, of: Calls[Name]): Needs;
  /** Useful flops of one block over so many tokens. */
  blockFlops(spec: BlockSpec, tokens: number, window: number): number;
  /** Useful flops of the head. */
  headFlops(vocab: number, embeddingWidth: number, tokens: number): number;
  /** Those that a rank has. */
  heldRows(tokens: Tokens): number;
  /** Rows of a page of tokens: whole windows. */
  pageRows(window: number): number;
}
