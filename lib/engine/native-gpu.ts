/** What the driver says of the machine's NVIDIA GPUs. */

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
