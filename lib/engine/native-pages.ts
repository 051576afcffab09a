import type {
  EngineHandle,
  MatrixHandle,
  StatisticsHandle,
  StoreHandle,
  TeamHandle,
} from './handles';
import type { Purpose } from './native-engine';

/** Rows of one matrix as rows of another. */
export interface RowRange {
  from: number;
  to: number;
  count: number;
}

/** Sums over the rows of X. */
export interface Sums {
  tokens: number;
  /** `[dim]` each, of x and of x². */
  sums: Float64Array;
  squares: Float64Array;
}

/** What lies in a page store. */
export interface NativePages {
  createStore(engine: EngineHandle, scratch: string): StoreHandle;
  trafficOf(store: StoreHandle): { read: number; written: number };

  /** `team`: of tokens that its ranks share. */
  createMatrix(
    store: StoreHandle,
    rows: number,
    cols: number,
    pageRows: number,
    team: TeamHandle | null,
  ): MatrixHandle;
  matrixRows(matrix: MatrixHandle, row: number, count: number): Float32Array;
  setMatrixRows(matrix: MatrixHandle, row: number, values: Float32Array): void;
  copyMatrix(from: MatrixHandle, to: MatrixHandle, rows?: RowRange): Promise<void>;
  energyOf(matrix: MatrixHandle): Promise<number>;

  createStatistics(
    store: StoreHandle,
    dim: number,
    withGram: boolean,
    residualDim: number,
    team: TeamHandle | null,
  ): StatisticsHandle;
  addRows(statistics: StatisticsHandle, rows: Float32Array, purpose: Purpose): Promise<void>;
  readStatistics(statistics: StatisticsHandle): Sums;
  crossProducts(statistics: StatisticsHandle): Float64Array;
  gramRows(statistics: StatisticsHandle, row: number, count: number): Float64Array;
  storeMetric(statistics: StatisticsHandle, matrix: MatrixHandle, row: number): Promise<void>;
}
