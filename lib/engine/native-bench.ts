import type { BlockHandle, EngineHandle } from './handles';
import type { BlockSpec } from './native-block';
import type { Purpose } from './native-engine';

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

/** Operations of a GPU, and its roofs: GFLOP/s of large products by how operands are rounded, GB/s. */
export interface GpuTimings {
  gemmRates: { dtype: string; gflops: number }[];
  bandwidth: number;
  timings: KernelTiming[];
}

export interface KernelRun {
  tokens: number;
  window: number;
  /** Of each operation. */
  seconds: number;
}

/** Calls of the native addon that only benchmarks make. */
export interface NativeBench {
  /** GFLOP/s of `[256, k] × [k, n]` products on all threads, by the BLAS's sgemm or by the path that the purpose has. */
  measureGemm(
    engine: EngineHandle,
    n: number,
    k: number,
    seconds: number,
    by: 'sgemm' | Purpose,
  ): Promise<number>;
  /** Takes about 3 · seconds. */
  measureRoofs(engine: EngineHandle, seconds: number): Promise<Roofs>;
  /** Operations of the forward pass and the solvers at the block's shapes, `seconds` each; tokens in whole windows. */
  timeKernels(block: BlockHandle, run: KernelRun): Promise<KernelTiming[]>;
  /** The same of the engine's GPU, and its head. @throws ERR_BUDGET where its memory does not hold them */
  timeGpuKernels(
    engine: EngineHandle,
    spec: BlockSpec,
    head: { width: number; vocab: number },
    run: KernelRun,
  ): Promise<GpuTimings>;
}
