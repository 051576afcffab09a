import type { BlockHandle, EngineHandle } from './native';

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
  /** Takes about 3 · seconds. */
  measureRoofs(engine: EngineHandle, seconds: number): Promise<Roofs>;
  /** Operations of the forward pass and the solvers at the block's shapes, `seconds` each; tokens in whole windows. */
  timeKernels(
    engine: EngineHandle,
    block: BlockHandle,
    options: { tokens: number; window: number; seconds: number },
  ): Promise<KernelTiming[]>;
}
