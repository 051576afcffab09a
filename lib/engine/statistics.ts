import type { StatisticsHandle, StoreHandle } from './handles';
import type { MetricPlace } from './matrix';
import { native } from './native';
import type { Purpose } from './native-engine';
import type { Sums } from './native-pages';
import { Owned } from './owned';

/**
 * Sums of inputs X `[tokens, dim]`: of x, of x² and, with `gram`, XᵀX; `residual`: columns of a residual R whose products RᵀX
 * are summed too.
 */
export class Statistics extends Owned<StatisticsHandle> {
  readonly dim: number;

  constructor(
    store: StoreHandle,
    dim: number,
    { gram, residual = 0 }: { gram: boolean; residual?: number },
  ) {
    super(native.createStatistics(store, dim, gram, residual));
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
