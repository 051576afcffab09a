/** Calls of the native addon about NVIDIA GPUs; native.ts has the rest. */
import type { BlockSpec, EngineHandle, Site } from './native';
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

/** What a runSite that advances the states is asked for beside. */
export interface SiteDemand extends SumKinds {
  /** What a solver of the FFN's input weights works on. */
  inputs: boolean;
  window: number;
  /** Tokens of a page of the states, whole windows. */
  page: number;
}

/** A pass of an FFN's least squares (native/device/run_ffn.h). */
export interface FfnDemand {
  /** `line`: a product of which only the curvature along a direction is wanted. */
  pass: 'gradient' | 'product' | 'line' | 'hidden';
  /** Columns of what gate and up read. */
  inputs: number;
  /** Tokens of a page. */
  page: number;
}

/** A head over tokens (native/device/run_head.h). */
export interface HeadDemand {
  /** Columns of its table, and rows. */
  width: number;
  vocab: number;
  tokens: number;
  /** With the means of its rows under the tokens' next-token distributions. */
  means: boolean;
}

export interface NativeGpuPlan {
  /** Tokens on the GPU at a time, and how often all tokens stream through. */
  flight: number;
  passes: number;
  deviceBytes: number;
  /** Host memory, charged to the engine's budget. */
  pinnedBytes: number;
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
      /** See gpuDoublesOf; by default what may be worth its copies, 0: all of it. */
      leastFlops?: number;
    },
  ): Promise<AttachedGpu>;
  /** What runSite would need of the engine's GPU. @throws ERR_BUDGET where its memory cannot do */
  planSite(engine: EngineHandle, spec: BlockSpec, site: Site, demand: SiteDemand): NativeGpuPlan;
  /** What a pass over the tokens of an FFN of spec.ffn channels would. @throws ERR_BUDGET likewise */
  planFfn(engine: EngineHandle, spec: BlockSpec, site: Site, demand: FfnDemand): NativeGpuPlan;
  /** What the head over so many tokens would. @throws ERR_BUDGET likewise */
  planHead(engine: EngineHandle, demand: HeadDemand): NativeGpuPlan;
  gpuMemoryOf(engine: EngineHandle): { used: number; peak: number; limit: number } | null;
  /**
   * Linear algebra in doubles of so many flops goes to the GPU; null where none does: without a GPU, with one that is slow
   * at doubles, or without its libraries.
   */
  gpuDoublesOf(engine: EngineHandle): { leastFlops: number } | null;
  /** Seconds of the host and of the GPU's streams for sites, passes of FFNs and heads so far, which run beside each other. null without a GPU. */
  gpuTimesOf(engine: EngineHandle): GpuTimes | null;
}
