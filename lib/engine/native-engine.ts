import type { EngineHandle } from './handles';
import type { Precision } from './native-devices';

/**
 * What the products of a call are for, which says how exact they must be: what is measured; sums over calibration tokens
 * (docs/decisions/0009); directions that an exact refit judges (docs/decisions/0016).
 */
export type Purpose = 'measuring' | 'calibrating' | 'searching';

/** What an engine has got with its GPU. */
export interface AttachedGpu {
  /** Its name, and where its products come from. */
  description: string;
  /** Whether that is cuBLAS. */
  hasBlas: boolean;
}

/** Seconds of the host and of the GPU's streams for sites, passes of FFNs and heads so far, which run beside each other. */
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

/** Bytes. */
export interface MemoryUse {
  used: number;
  peak: number;
  limit: number;
}

export interface NativeEngine {
  createEngine(threads: number, memoryLimit: number, precision: Precision): EngineHandle;
  setAbort(engine: EngineHandle, abort: boolean): void;
  memoryOf(engine: EngineHandle): MemoryUse & { kept: number };
  /** Up to where pages may fill memory beside everything else, bytes; at first the limit. */
  setRoom(engine: EngineHandle, bytes: number): void;
  /**
   * What will be needed at once until giveBack, bytes. Up to there memory is kept for the next allocations, and lent to
   * what is only faster to have.
   */
  expect(engine: EngineHandle, bytes: number): void;
  /** Gives the system what the engine keeps of freed memory for its next allocations. */
  giveBack(engine: EngineHandle): Promise<void>;
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
  /** null without a GPU. */
  gpuMemoryOf(engine: EngineHandle): MemoryUse | null;
  gpuTimesOf(engine: EngineHandle): GpuTimes | null;
}
