import type { Architecture, ModelRole, ModelSource, Stored } from '../model/architecture';
import { embeddingWidth, modelShapes } from '../model/axes';
import { sublayersOf } from '../model/blocks';
import { SITES, type Site } from '../model/sublayers';
import { type Engine, orRelease, using } from './engine';
import {
  type BlockHandle,
  type BlockSpec,
  type EndsHandle,
  type FileHandle,
  type MatrixHandle,
  native,
  type StatisticsHandle,
} from './native';

/** Weights as they are. */
export const AS_IS: Stored = {
  matrices: 'F32',
  ends: null,
  vectors: 'F32',
  asSource: [],
  normOffset: 0,
};

/** Calls `work` with a block that stays loaded meanwhile. */
export type WithBlock = (
  index: number,
  work: (block: BlockHandle) => Promise<void>,
) => Promise<void>;

/** One open model on one engine: opens its files and hands out blocks, one at a time. */
export class Session {
  readonly engine: Engine;
  readonly source: ModelSource;
  /** What every weight is rounded to when it is read: what the output to come holds. */
  readonly stored: Stored;
  /** Folder for what blocks do not have in memory; '' = all of them is there. */
  readonly scratch: string;
  readonly files: FileHandle[];
  readonly ends: EndsHandle;

  constructor(engine: Engine, source: ModelSource, stored: Stored = AS_IS, scratch = '') {
    this.engine = engine;
    this.source = source;
    this.stored = stored;
    this.scratch = scratch;
    this.files = openAll(source.files);
    const { architecture } = source;
    try {
      this.ends = native.createEnds(
        {
          hidden: architecture.hidden,
          vocab: architecture.vocab,
          embeddingWidth: embeddingWidth(architecture),
          positionOffset: architecture.positionOffset ?? 0,
          embeddingScale: architecture.embeddingScale,
          norm: { kind: architecture.norm.kind, eps: architecture.norm.eps },
          roles: Object.keys(modelShapes(architecture)) as ModelRole[],
          // In floats nothing is rounded.
          stored: { ...stored, matrices: stored.ends ?? 'F32' },
        },
        source.model,
        this.files,
      );
    } catch (error) {
      for (const file of this.files) native.release(file);
      throw error;
    }
  }

  get architecture(): Architecture {
    return this.source.architecture;
  }

  loadBlock(index: number): Promise<BlockHandle> {
    return native.loadBlock(
      this.engine.handle,
      this.engine.store(this.scratch),
      blockSpec(this.architecture, index),
      this.source.blocks[index]!,
      this.files,
      this.stored,
    );
  }

  /** Hidden states of token ids, ready for block 0; `ids` holds whole windows. */
  async embed(ids: Int32Array, window: number, scratch = ''): Promise<MatrixHandle> {
    const hidden = this.matrix(
      ids.length,
      this.architecture.hidden,
      native.pageRows(window),
      scratch,
    );
    await orRelease(hidden, () => native.embed(this.engine.handle, this.ends, ids, window, hidden));
    return hidden;
  }

  /** Sums of inputs `[tokens, width]`; `residual`: columns of a residual whose products with them are summed too. */
  statistics(
    width: number,
    { gram, residual = 0, scratch = '' }: { gram: boolean; residual?: number; scratch?: string },
  ): StatisticsHandle {
    const { handle } = this.engine;
    return native.createStatistics(handle, this.engine.store(scratch), width, gram, residual);
  }

  /** Zeros, in pages of `rowsOfPage` rows; matrices that one call works on have pages of the same rows. */
  matrix(rows: number, cols: number, rowsOfPage: number, scratch = ''): MatrixHandle {
    return native.createMatrix(this.engine.store(scratch), rows, cols, rowsOfPage);
  }

  /** Takes hidden states, or the first rows of them, through all sites of a block. */
  async advance(
    block: BlockHandle,
    hidden: MatrixHandle,
    window: number,
    firstRows?: number,
  ): Promise<void> {
    for (const site of SITES) await this.advanceSite(block, site, hidden, window, { firstRows });
  }

  /**
   * Takes hidden states through all blocks; `onBlock` hears of each that is done. `withBlock` lends them: one loaded at a
   * time where it is left out.
   */
  async forward(
    hidden: MatrixHandle,
    window: number,
    onBlock?: (index: number) => void,
    withBlock: WithBlock = async (index, work) => using(await this.loadBlock(index), work),
  ): Promise<void> {
    for (let index = 0; index < this.architecture.blocks.length; index++) {
      this.engine.throwIfAborted();
      await withBlock(index, (block) => this.advance(block, hidden, window));
      onBlock?.(index);
    }
  }

  /** Takes hidden states, or the first rows of them, through one site; `statistics` receive the input of its output map. */
  advanceSite(
    block: BlockHandle,
    site: Site,
    hidden: MatrixHandle,
    window: number,
    more: { statistics?: StatisticsHandle; firstRows?: number } = {},
  ): Promise<void> {
    const run = { window, hidden, advance: true, alpha: 0, beta: 0, ...more };
    return native.runSite(this.engine.handle, block, site, run);
  }

  score(
    hidden: MatrixHandle,
    targets: Int32Array,
  ): Promise<{ nll: Float64Array; best: Int32Array }> {
    return native.score(this.engine.handle, this.ends, hidden, targets);
  }

  dispose(): void {
    for (const file of this.files) native.release(file);
    native.release(this.ends);
  }
}

function openAll(paths: readonly string[]): FileHandle[] {
  const files: FileHandle[] = [];
  try {
    for (const path of paths) files.push(native.openFile(path));
    return files;
  } catch (error) {
    for (const file of files) native.release(file);
    throw error;
  }
}

export function blockSpec(architecture: Architecture, index: number): BlockSpec {
  return { hidden: architecture.hidden, sublayers: sublayersOf(architecture, index) };
}

/** Columns of a site's output map. */
export function siteColumns(block: BlockHandle, site: Site): number {
  return native.blockShape(block, `${site}.out`)![1];
}

/** Targets of every position of whole windows: the next token, -1 at each window's end. */
export function nextTokens(ids: Int32Array, window: number): Int32Array {
  const targets = new Int32Array(ids.length);
  for (let i = 0; i < ids.length; i++) targets[i] = (i + 1) % window === 0 ? -1 : ids[i + 1]!;
  return targets;
}
