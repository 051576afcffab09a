/** Calls of the native addon about NVIDIA GPUs; native.ts has the rest. */
import type { EngineHandle } from './native';
import type { Precision } from './native-devices';

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

/** Sums that a runSite makes of the input of the output map. */
export interface SumKinds {
  /** Its sums and squares are kept, */
  collects: boolean;
  /** its Gram matrix too, */
  gram: boolean;
  /** and residuals against dense states. */
  feedback: boolean;
}

/** What an engine has got with its GPU. */
export interface AttachedGpu {
  /** Its name, and where its products come from. */
  description: string;
  /** Whether that is cuBLAS. */
  hasBlas: boolean;
}

export interface GpuTimes {
  /** Copies of pages on the host, between its memory and what is pinned; a head's table is decoded on the way. */
  host: number;
  /** Pages and weights. */
  copyIn: number;
  forward: number;
  /** Gram matrices, moments and residuals. */
  sums: number;
  copyOut: number;
  /** Linear algebra in doubles, its copies included. */
  algebra: number;
}

export interface NativeGpu {
  /** Loads the driver into the process: call it in one of its own (engine/gpu.ts). */
  probeGpus(library: string): GpuProbe;
  /** From here the engine's sites run on that GPU. */
  attachGpu(
    engine: EngineHandle,
    options: {
      library: string;
      index: number;
      memory: number;
      precision: Precision;
      /** Of linear algebra in doubles that goes there; by default what may be worth its copies, 0: all of it. */
      leastFlops?: number;
    },
  ): Promise<AttachedGpu>;
  gpuMemoryOf(engine: EngineHandle): { used: number; peak: number; limit: number } | null;
  /** Seconds of the host and of the GPU's streams for sites, passes of FFNs and heads so far, which run beside each other. null without a GPU. */
  gpuTimesOf(engine: EngineHandle): GpuTimes | null;
}
