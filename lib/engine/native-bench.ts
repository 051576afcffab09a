import type { BlockHandle, EndsHandle, EngineHandle, MatrixHandle } from './native';

/** A model's head and what it reads: hidden states after the last block, from `row`. */
export interface HeadRun {
  ends: EndsHandle;
  hidden: MatrixHandle;
  row: number;
}

/** `[tokens]` each; NaN or -1 where there is no target. */
export interface TokenComparison {
  /** -log q(target), nats. */
  nll: Float64Array;
  /** KL(p ‖ q) over the vocabulary, nats. */
  kl: Float64Array;
  /** Likeliest token by q, and by p. */
  best: Int32Array;
  referenceBest: Int32Array;
}

/** GFLOP/s of large products on all threads; GB/s read and written by a copy that no cache holds. */
export interface Roofs {
  f32: number;
  f64: number;
  bandwidth: number;
}

/** One operation: useful flops and bytes of a call, seconds of the fastest of the repeats. */
export interface KernelTiming {
  op: string;
  shape: string;
  dtype: string;
  flops: number;
  bytes: number;
  seconds: number;
  repeats: number;
}

/** Calls of the native addon that only benchmarks make. */
export interface NativeBench {
  /**
   * Next-token distributions q of `model` against p of `reference`, at the positions with a target (-1 = none).
   * Errors: ERR_ARGUMENT (vocabularies or shapes differ), ERR_NAN, ERR_BUDGET, ERR_ABORTED.
   */
  compare(
    engine: EngineHandle,
    reference: HeadRun,
    model: HeadRun,
    targets: Int32Array,
  ): Promise<TokenComparison>;
  /** Takes about 3 · seconds. */
  measureRoofs(engine: EngineHandle, seconds: number): Promise<Roofs>;
  /** Operations of the forward pass and the solvers at the block's shapes, `seconds` each; tokens in whole windows. */
  timeKernels(
    engine: EngineHandle,
    block: BlockHandle,
    options: { tokens: number; window: number; seconds: number },
  ): Promise<KernelTiming[]>;
}
