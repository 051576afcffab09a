/**
 * The native addon with its types. Handles are opaque; long calls are promises that run on a worker thread
 * and, on one engine, one at a time. Errors are plain Errors with `code` and `mend`: the public functions turn
 * them into StruPruneError (lib/errors.ts).
 */
import type { GgufHeader, GgufValue, SafetensorsHeader } from '../checkpoint/container';
import type { BlockRefs, Dtype, ModelRole, Stored, TensorRef } from '../model/architecture';
import type { BlockRole, NormSpec, Site, Sublayer } from '../model/sublayers';
import { packageRoot } from '../package-root';
import type { NativeRefit, NativeSolver, SolverFromSums } from '../solver/native-solver';
import { loadError } from './load-error';
import type { NativeBackward } from './native-backward';
import type { NativeBench } from './native-bench';
import type { NativeDevices, Precision } from './native-devices';
import type { NativeDivergence } from './native-divergence';
import type { NativeFfn } from './native-ffn';
import { addonFile } from './native-files';
import type { NativeGpu, SumKinds } from './native-gpu';
import type { NativeNeeds } from './native-needs';
import type { NativeNumbers } from './native-numbers';

declare const tag: unique symbol;
type Handle<Name extends string> = { readonly [tag]: Name };
export type EngineHandle = Handle<'engine'>;
export type FileHandle = Handle<'file'>;
/** Pages in memory under the engine's budget, the others in an unlinked scratch file. */
export type StoreHandle = Handle<'store'>;
/** `[rows, cols]` floats in pages of a store. */
export type MatrixHandle = Handle<'matrix'>;
export type StatisticsHandle = Handle<'statistics'>;
export type BlockHandle = Handle<'block'>;
export type EndsHandle = Handle<'ends'>;
export type GaussNewtonHandle = Handle<'gauss-newton'>;
export type AuxiliaryHandle = Handle<'auxiliary'>;
export type AnyHandle =
  | EngineHandle
  | FileHandle
  | StoreHandle
  | MatrixHandle
  | StatisticsHandle
  | BlockHandle
  | EndsHandle
  | GaussNewtonHandle
  | AuxiliaryHandle;

export interface BlockSpec {
  hidden: number;
  sublayers: readonly Sublayer[];
}

export interface EndsSpec {
  hidden: number;
  vocab: number;
  embeddingWidth: number;
  positionOffset: number;
  embeddingScale: number;
  norm: NormSpec;
  /** Tensors that have to be there. */
  roles: ModelRole[];
  stored: Stored;
}

export interface SiteRun {
  window: number;
  hidden: MatrixHandle;
  /** Whether hidden goes on to what the site makes of it. */
  advance: boolean;
  statistics?: StatisticsHandle;
  /** Receives the input of the site's output map, `[tokens, width]`. */
  keep?: MatrixHandle;
  /** FFN: receives what gate and up read, `[tokens, hidden]`, or with a last column of ones. */
  inputs?: MatrixHandle;
  /** Receives the site's target Y, `[tokens, hidden]`. */
  targets?: MatrixHandle;
  denseBefore?: MatrixHandle;
  denseAfter?: MatrixHandle;
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

/** Where a Fisher metric `[hidden, hidden]` lies: rows of a matrix. */
export interface MetricPlace {
  matrix: MatrixHandle;
  row: number;
}

export interface NativeAddon
  extends NativeBackward,
    NativeBench,
    NativeDivergence,
    NativeDevices,
    NativeFfn,
    NativeGpu,
    NativeNeeds,
    NativeNumbers {
  /** Name, version and kernel of the BLAS. */
  blas: string;
  parseSafetensors(path: string): SafetensorsHeader;
  /** Without the arrays of the metadata that have more than `longest` entries. */
  parseGguf(
    path: string,
    longest: number,
  ): Omit<GgufHeader, 'metadata'> & {
    metadata: Record<string, GgufValue>;
    metadataTypes: Record<string, string>;
  };
  createEngine(threads: number, memoryLimit: number, precision: Precision): EngineHandle;
  /** Whether jobs that are asked for from here on sum over calibration tokens. */
  setCalibrating(engine: EngineHandle, calibrating: boolean): void;
  setAbort(engine: EngineHandle, abort: boolean): void;
  memoryOf(engine: EngineHandle): { used: number; peak: number; limit: number; kept: number };
  /** Largest resident size of the process so far, bytes. */
  peakRss(): number;
  /** Locks an open file, against other machines too where the file system can; unknown: it has no locks. Ends with the file. */
  lockFile(descriptor: number): 'taken' | 'held' | 'unknown';
  release(handle: AnyHandle): void;
  /** Like release, with the memory given back on a worker thread: for what may be large. */
  free(handle: AnyHandle): Promise<void>;
  /** GFLOP/s of `[256, k] × [k, n]` products on all threads. */
  measureGemm(
    engine: EngineHandle,
    n: number,
    k: number,
    seconds: number,
    sgemm: boolean,
  ): Promise<number>;
  openFile(path: string): FileHandle;
  /** Up to where pages may fill memory beside everything else, bytes; at first the limit. */
  setRoom(engine: EngineHandle, bytes: number): void;
  /**
   * What will be needed at once until giveBack, bytes. Up to there memory is kept for the next allocations, and lent to
   * what is only faster to have.
   */
  expect(engine: EngineHandle, bytes: number): void;
  /** Gives the system what the engine keeps of freed memory for its next allocations. */
  giveBack(engine: EngineHandle): Promise<void>;
  /** Scratch files lie in the folder; '' keeps all pages in memory. */
  createStore(engine: EngineHandle, scratch: string): StoreHandle;
  /** Bytes from and to the store's scratch file so far. */
  trafficOf(store: StoreHandle): { read: number; written: number };
  createMatrix(store: StoreHandle, rows: number, cols: number, pageRows: number): MatrixHandle;
  /** The sum of all squares. */
  energyOf(engine: EngineHandle, matrix: MatrixHandle): Promise<number>;
  matrixRows(engine: EngineHandle, matrix: MatrixHandle, row: number, count: number): Float32Array;
  /** Whole rows, the first of them at `row`. */
  setMatrixRows(
    engine: EngineHandle,
    matrix: MatrixHandle,
    row: number,
    values: Float32Array,
  ): void;
  matrixShape(matrix: MatrixHandle): { rows: number; cols: number; pageRows: number };
  /** All rows of a matrix of the same shape, or `count` of them from row `from` on to row `to` on. */
  copyMatrix(
    engine: EngineHandle,
    from: MatrixHandle,
    to: MatrixHandle,
    rows?: { from: number; to: number; count: number },
  ): Promise<void>;
  createStatistics(
    engine: EngineHandle,
    store: StoreHandle,
    dim: number,
    withGram: boolean,
    residualDim: number,
  ): StatisticsHandle;
  readStatistics(statistics: StatisticsHandle): {
    tokens: number;
    dim: number;
    sums: Float64Array;
    squares: Float64Array;
  };
  /** Whole rows of XᵀX, a copy. */
  gramRows(statistics: StatisticsHandle, row: number, count: number): Float64Array;
  /** Matrices go into the store by strips of rows. */
  loadBlock(
    engine: EngineHandle,
    store: StoreHandle,
    spec: BlockSpec,
    tensors: BlockRefs,
    files: FileHandle[],
    stored: Stored,
  ): Promise<BlockHandle>;
  runSite(engine: EngineHandle, block: BlockHandle, site: Site, run: SiteRun): Promise<void>;
  /** hidden += X[:, columns] Wᵀ + bias for activations kept by runSite. */
  applySite(
    engine: EngineHandle,
    block: BlockHandle,
    site: Site,
    kept: MatrixHandle,
    columns: Int32Array | null,
    hidden: MatrixHandle,
  ): Promise<void>;
  sliceBlock(
    engine: EngineHandle,
    block: BlockHandle,
    role: BlockRole,
    axis: 0 | 1,
    indices: Int32Array,
  ): Promise<void>;
  /** Multiplies the columns of a matrix, or the entries of a vector, and rounds to what is stored. */
  scaleBlock(
    engine: EngineHandle,
    block: BlockHandle,
    role: BlockRole,
    factors: Float64Array,
  ): Promise<void>;
  /** Columns of the site's output map, after all slices. */
  resizeSite(block: BlockHandle, site: Site, columns: number): void;
  /** Rounds the output map and its bias to what is stored. */
  finishSite(engine: EngineHandle, block: BlockHandle, site: Site): Promise<void>;
  /** Keeps G = Gram ÷ tokens as rows of a matrix. */
  storeMetric(
    engine: EngineHandle,
    statistics: StatisticsHandle,
    matrix: MatrixHandle,
    row: number,
  ): Promise<void>;
  createSolver(
    engine: EngineHandle,
    statistics: StatisticsHandle,
    block: BlockHandle,
    site: Site,
    options: { lambda: number; group: number; metric: MetricPlace | null },
  ): Promise<NativeSolver>;
  setOutput(
    engine: EngineHandle,
    block: BlockHandle,
    site: Site,
    refit: NativeRefit,
  ): Promise<void>;
  /** One number a column of the site's output map. */
  outputColumns(
    engine: EngineHandle,
    block: BlockHandle,
    site: Site,
  ): Promise<{ weightAbsMean: Float64Array; weightNormSq: Float64Array }>;
  /** Adds W · means to the output map's bias; columns that stay must have mean 0. */
  addMeanBias(
    engine: EngineHandle,
    block: BlockHandle,
    site: Site,
    means: Float64Array,
  ): Promise<void>;
  blockShape(block: BlockHandle, role: BlockRole): [number, number] | null;
  encodeBlock(
    engine: EngineHandle,
    block: BlockHandle,
    role: BlockRole,
    dtype: Dtype,
    row: number,
    count: number,
    ropeHeads: number,
  ): Promise<Uint8Array>;
  /** Frees the bytes now; the array is empty afterwards. */
  dropBytes(bytes: Uint8Array | Float32Array): void;
  encodeTensor(
    engine: EngineHandle,
    tensor: TensorRef,
    files: FileHandle[],
    dtype: Dtype,
    row: number,
    count: number,
  ): Promise<Uint8Array>;
  createEnds(
    spec: EndsSpec,
    tensors: Partial<Record<ModelRole, TensorRef>>,
    files: FileHandle[],
  ): EndsHandle;
  embed(
    engine: EngineHandle,
    ends: EndsHandle,
    ids: Int32Array,
    window: number,
    hidden: MatrixHandle,
  ): Promise<void>;
  /** -log p(target) in nats and the likeliest token of every row; target -1 = none (NaN). */
  score(
    engine: EngineHandle,
    ends: EndsHandle,
    hidden: MatrixHandle,
    targets: Int32Array,
  ): Promise<{ nll: Float64Array; best: Int32Array }>;
  logits(
    engine: EngineHandle,
    ends: EndsHandle,
    hidden: MatrixHandle,
    row: number,
    count: number,
  ): Promise<Float32Array>;
  solverFromSums: SolverFromSums;
}

function load(): NativeAddon {
  try {
    return require(addonFile());
  } catch (cause) {
    throw loadError(cause as Error, packageRoot());
  }
}

let loaded: NativeAddon | undefined;

/** Loaded when something of it is first asked for: help needs no addon, and its absence is an error of the call. */
export const native: NativeAddon = new Proxy({} as NativeAddon, {
  get: (_target, name) => {
    loaded ??= load();
    return Reflect.get(loaded, name);
  },
});
