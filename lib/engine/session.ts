import type {
  Architecture,
  Dtype,
  ModelRole,
  ModelSource,
  Stored,
  TensorRef,
} from '../model/architecture';
import { blockTensors, embeddingWidth, modelShapes } from '../model/axes';
import { sublayersOf } from '../model/blocks';
import type { Site, Sublayer } from '../model/sublayers';
import { turning } from '../model/yarn';
import type { Block } from './block';
import { Ends } from './ends';
import type { Engine } from './engine';
import type { TeamHandle } from './handles';
import type { Matrix } from './matrix';
import { native } from './native';
import type { BlockSpec } from './native-block';
import type { CutWindows, EndsSpec, TokenScores } from './native-ends';
import type { Purpose } from './native-engine';
import { orDispose, using } from './owned';
import { SourceFile } from './source-file';
import type { Statistics, StatisticsOptions } from './statistics';

/** Weights as they are. */
export const AS_IS: Stored = {
  matrices: 'F32',
  ends: null,
  vectors: 'F32',
  asSource: [],
  normOffset: 0,
  outputScale: 1,
  finalNormScale: 1,
  decayAsRate: false,
};

/** Calls `work` with a block that stays loaded meanwhile. */
export type WithBlock = (index: number, work: (block: Block) => Promise<void>) => Promise<void>;

/** One open model on one engine: opens its files and hands out blocks, one at a time. */
export class Session {
  readonly engine: Engine;
  readonly source: ModelSource;
  /** What every weight is rounded to when it is read: what the output to come holds. */
  readonly stored: Stored;
  /** Folder for what blocks do not have in memory; '' = all of them is there. */
  readonly scratch: string;
  readonly files: readonly SourceFile[];
  readonly ends: Ends;

  constructor(engine: Engine, source: ModelSource, stored: Stored = AS_IS, scratch = '') {
    this.engine = engine;
    this.source = source;
    this.stored = stored;
    this.scratch = scratch;
    this.files = SourceFile.openAll(source.files);
    const { architecture } = source;
    try {
      this.ends = this.endsOver();
      if (engine.device !== 'cpu') for (const note of leftToCpu(architecture)) engine.notify(note);
    } catch (error) {
      for (const file of this.files) file[Symbol.dispose]();
      throw error;
    }
  }

  get architecture(): Architecture {
    return this.source.architecture;
  }

  /** The model's ends; as if these tokens were its vocabulary, for distributions over them, where they are given. */
  endsOver(sample?: readonly number[]): Ends {
    const { architecture, engine, source, stored, files } = this;
    const spec: EndsSpec = {
      hidden: architecture.hidden,
      vocab: architecture.vocab,
      embeddingWidth: embeddingWidth(architecture),
      positionOffset: architecture.positionOffset ?? 0,
      embeddingScale: architecture.embeddingScale,
      logitCap: architecture.logitCap,
      norm: { kind: architecture.norm.kind, eps: architecture.norm.eps },
      roles: Object.keys(modelShapes(architecture)) as ModelRole[],
      // In floats nothing is rounded.
      stored: { ...stored, matrices: stored.ends ?? 'F32' },
      sample,
    };
    return new Ends(engine.handle, spec, source.model, files);
  }

  /** `architecture`: the model's own, or without some of its sublayers. */
  loadBlock(index: number, architecture = this.architecture): Promise<Block> {
    const refs = this.source.blocks[index]!;
    const tensors = blockTensors(architecture, index).map(({ role }) => [role, refs[role]!]);
    return this.engine
      .store(this.scratch)
      .loadBlock(
        blockSpec(architecture, index),
        Object.fromEntries(tensors),
        this.files,
        this.stored,
      );
  }

  /**
   * Hidden states of token ids, ready for block 0; `ids` holds whole windows, of which some are cut where `cut` is given.
   * `team`: whose ranks share them.
   */
  async embed(
    ids: Int32Array,
    window: number,
    purpose: Purpose,
    scratch = '',
    cut?: CutWindows,
    team: TeamHandle | null = null,
  ): Promise<Matrix> {
    const { hidden: cols } = this.architecture;
    const pageRows = native.pageRows(window);
    const hidden = this.engine.store(scratch).matrix(ids.length, cols, pageRows, team);
    await orDispose(hidden, () => this.ends.embed(ids, window, hidden, purpose, cut));
    return hidden;
  }

  /** Sums of inputs `[tokens, width]`. */
  statistics(
    width: number,
    { scratch = '', ...sums }: StatisticsOptions & { scratch?: string },
  ): Statistics {
    return this.engine.store(scratch).statistics(width, sums);
  }

  /** Zeros, in pages of `rowsOfPage` rows; matrices that one call works on have pages of the same rows. */
  matrix(rows: number, cols: number, rowsOfPage: number, scratch = ''): Matrix {
    return this.engine.store(scratch).matrix(rows, cols, rowsOfPage);
  }

  /** The same for what the same tokens have beside `states`, on the same ranks. */
  matrixBeside({ rows, pageRows, team }: Matrix, cols: number, scratch: string): Matrix {
    return this.engine.store(scratch).matrix(rows, cols, pageRows, team);
  }

  /** Takes hidden states, or the first rows of them, through all sites of a block. */
  async advance(
    block: Block,
    hidden: Matrix,
    window: number,
    purpose: Purpose,
    firstRows?: number,
  ): Promise<void> {
    for (const site of block.sites) {
      await this.advanceSite(block, site, hidden, window, purpose, { firstRows });
    }
  }

  /**
   * Takes hidden states through all blocks; `onBlock` hears of each that is done. `withBlock` lends them: one loaded at a
   * time where it is left out.
   */
  async forward(
    hidden: Matrix,
    window: number,
    purpose: Purpose,
    onBlock?: (index: number) => void,
    withBlock: WithBlock = async (index, work) => using(await this.loadBlock(index), work),
  ): Promise<void> {
    for (let index = 0; index < this.architecture.blocks.length; index++) {
      this.engine.throwIfAborted();
      await withBlock(index, (block) => this.advance(block, hidden, window, purpose));
      onBlock?.(index);
    }
  }

  /** Takes hidden states, or the first rows of them, through one site; `statistics` receive the input of its output map. */
  advanceSite(
    block: Block,
    site: Site,
    hidden: Matrix,
    window: number,
    purpose: Purpose,
    more: { statistics?: Statistics; firstRows?: number } = {},
  ): Promise<void> {
    return block.run(site, { purpose, window, hidden, advance: true, alpha: 0, beta: 0, ...more });
  }

  score(hidden: Matrix, targets: Int32Array): Promise<TokenScores> {
    return this.ends.score(hidden, targets);
  }

  /** Rows of a tensor outside the blocks, encoded as `dtype`. @throws ERR_UNSUPPORTED, ERR_NAN */
  encodeTensor(tensor: TensorRef, dtype: Dtype, row: number, count: number): Promise<Uint8Array> {
    const files = this.files.map(({ handle }) => handle);
    return native.encodeTensor(this.engine.handle, tensor, files, dtype, row, count);
  }

  dispose(): void {
    for (const file of this.files) file[Symbol.dispose]();
    this.ends[Symbol.dispose]();
  }
}

/** What of such a model no GPU computes, for people. */
export function leftToCpu(architecture: Architecture): string[] {
  const { routing, convolution, delta, gatedAttention, logitCap } = architecture;
  return [
    ...(delta || gatedAttention ? ['gated delta rules and gated attention run on the CPU'] : []),
    ...(convolution ? ['short convolutions run on the CPU'] : []),
    ...(routing ? ['experts run on the CPU'] : []),
    ...(logitCap === null ? [] : ['distributions of capped logits are compared on the CPU']),
  ];
}

export function blockSpec(architecture: Architecture, index: number): BlockSpec {
  return {
    hidden: architecture.hidden,
    sublayers: sublayersOf(architecture, index).map(withTurning),
    index,
  };
}

/** Its rope as native code has it. Not before tensors have been compared with the head's length: that is a stranger's number. */
function withTurning({ mixer, ...rest }: Sublayer): Sublayer {
  if (mixer.kind !== 'attention' || !mixer.rope) return { ...rest, mixer };
  return { ...rest, mixer: { ...mixer, rope: turning(mixer.rope, mixer.headDim) } };
}

/** Targets of every position of whole windows: the next token, -1 at each window's end. */
export function nextTokens(ids: Int32Array, window: number): Int32Array {
  const targets = new Int32Array(ids.length);
  for (let i = 0; i < ids.length; i++) targets[i] = (i + 1) % window === 0 ? -1 : ids[i + 1]!;
  return targets;
}
