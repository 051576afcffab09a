import type { BlockRefs, Stored } from '../model/architecture';
import { Block } from './block';
import type { EngineHandle, StoreHandle, TeamHandle } from './handles';
import { Matrix } from './matrix';
import { native } from './native';
import type { BlockSpec } from './native-block';
import type { SiteSums } from './native-solver';
import { Owned } from './owned';
import { Solver } from './solver';
import type { SourceFile } from './source-file';
import { Statistics, type StatisticsOptions } from './statistics';

/** Pages in memory under the engine's budget, the others in an unlinked scratch file; without a folder all are in memory. */
export class Store extends Owned<StoreHandle> {
  constructor(engine: EngineHandle, scratch: string) {
    super(native.createStore(engine, scratch));
  }

  /** Bytes from and to the scratch file so far. */
  get traffic(): { read: number; written: number } {
    return native.trafficOf(this.handle);
  }

  matrix(rows: number, cols: number, pageRows: number, team: TeamHandle | null = null): Matrix {
    return new Matrix(this.handle, rows, cols, pageRows, team);
  }

  statistics(dim: number, sums: StatisticsOptions): Statistics {
    return new Statistics(this.handle, dim, sums);
  }

  /** Of plain arrays, which are copied. @throws ERR_ARGUMENT, ERR_NAN */
  async solver(sums: SiteSums): Promise<Solver> {
    return new Solver(await native.solverOfSums(this.handle, sums));
  }

  /** Reads a block's tensors; matrices lie here by strips of rows. @throws ERR_CHECKPOINT */
  async loadBlock(
    spec: BlockSpec,
    tensors: BlockRefs,
    files: readonly SourceFile[],
    stored: Stored,
  ): Promise<Block> {
    const handles = files.map(({ handle }) => handle);
    const handle = await native.loadBlock(this.handle, spec, tensors, handles, stored);
    return new Block(
      handle,
      spec.sublayers.map(({ name }) => name),
    );
  }
}
