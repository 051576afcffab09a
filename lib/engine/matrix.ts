import type { MatrixHandle, StoreHandle, TeamHandle } from './handles';
import { native } from './native';
import type { RowRange } from './native-pages';
import { Owned } from './owned';

/**
 * `[rows, cols]` floats, zeros at first, in pages of a store. `team`: whose ranks share the rows, each of which has whole
 * segments of them and touches no others (docs/decisions/0060); null: all are here.
 */
export class Matrix extends Owned<MatrixHandle> {
  readonly rows: number;
  readonly cols: number;
  /** Rows of a page; matrices that one call works on have pages of the same rows. */
  readonly pageRows: number;
  readonly team: TeamHandle | null;

  constructor(
    store: StoreHandle,
    rows: number,
    cols: number,
    pageRows: number,
    team: TeamHandle | null,
  ) {
    super(native.createMatrix(store, rows, cols, pageRows, team));
    this.team = team;
    this.rows = rows;
    this.cols = cols;
    this.pageRows = pageRows;
  }

  /** A copy of whole rows. */
  read(row: number, count: number): Float32Array {
    return native.matrixRows(this.handle, row, count);
  }

  /** Whole rows, the first of them at `row`. */
  write(row: number, values: Float32Array): void {
    native.setMatrixRows(this.handle, row, values);
  }

  /** All rows to a matrix of the same shape, or `count` of them from row `from` on to row `to` on. */
  copyTo(to: Matrix, rows?: RowRange): Promise<void> {
    return native.copyMatrix(this.handle, to.handle, rows);
  }

  /** The sum of all squares, of all ranks. */
  energy(): Promise<number> {
    return native.energyOf(this.handle);
  }
}

/** Where a Fisher metric `[hidden, hidden]` lies: rows of a matrix. */
export interface MetricPlace {
  matrix: Matrix;
  row: number;
}
