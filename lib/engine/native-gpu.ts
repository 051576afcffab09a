/** Calls of the native addon about NVIDIA GPUs; native.ts has the rest. */
import type { EngineHandle } from './native';

/** What was found wrong, and what would mend it. */
export interface Reason {
  found: string;
  mend: string;
}

export interface Gpu {
  index: number;
  name: string;
  /** Compute capability, such as 9.0. */
  capability: string;
  totalBytes: number;
  /** null where it was not asked: the GPU is too old, or gave no context. */
  freeBytes: number | null;
  /** null: it can be used. */
  unusable: Reason | null;
}

export interface GpuProbe {
  /** Newest CUDA version that the driver knows, 13000 for 13.0; 0 without a driver. */
  driver: number;
  /** Of the driver as a whole; null: it works. */
  unusable: Reason | null;
  gpus: Gpu[];
}

export interface NativeGpu {
  /** Loads the driver into the process: call it in one of its own (engine/gpu.ts). */
  probeGpus(library: string): GpuProbe;
  /** From here the engine's sites run on that GPU. Resolves with its name and the libraries in use. */
  attachGpu(
    engine: EngineHandle,
    options: { library: string; index: number; memory: number; bf16: boolean },
  ): Promise<string>;
  gpuMemoryOf(engine: EngineHandle): { used: number; peak: number; limit: number } | null;
}
