import type { StatisticsHandle, StoreHandle } from './handles';
import type { Matrix, MetricPlace } from './matrix';
import { native } from './native';
import type { Purpose } from './native-engine';
import type { Sums } from './native-pages';
import { Owned } from './owned';

export interface StatisticsOptions {
  gram: boolean;
  /** Columns of a residual R whose products RᵀX are summed too. */
  residual?: number;
  /** The states of the tokens, where ranks may share these: every pass over them then gives all ranks the sums of all. */
  over?: Matrix;
}

/** Sums of inputs X `[tokens, dim]`: of x, of x² and, with `gram`, XᵀX. */
export class Statistics extends Owned<StatisticsHandle> {
  readonly dim: number;

  constructor(store: StoreHandle, dim: number, { gram, residual = 0, over }: StatisticsOptions) {
    super(native.createStatistics(store, dim, gram, residual, over?.team ?? null));
    this.dim = dim;
  }

  /** Adds whole rows to the sums. @throws ERR_ARGUMENT */
  add(rows: Float32Array, purpose: Purpose): Promise<void> {
    return native.addRows(this.handle, rows, purpose);
  }

  read(): Sums {
    return native.readStatistics(this.handle);
  }

  /** Whole rows of XᵀX, a copy. */
  gramRows(row: number, count: number): Float64Array {
    return native.gramRows(this.handle, row, count);
  }

  /** RᵀX, a row a column of the residual, a copy. */
  crossProducts(): Float64Array {
    return native.crossProducts(this.handle);
  }

  /** Keeps G = XᵀX ÷ tokens as rows of a matrix. @throws ERR_ARGUMENT where it does not fit */
  storeMetric({ matrix, row }: MetricPlace): Promise<void> {
    return native.storeMetric(this.handle, matrix.handle, row);
  }
}
