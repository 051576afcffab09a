/** Calls of the native addon about the machine and the build. */
import type { GpuProbe } from './native-gpu';

export interface CpuFeatures {
  avx2: boolean;
  /** F, BW, DQ and VL. */
  avx512: boolean;
  avx512Bf16: boolean;
  amxBf16: boolean;
  neon: boolean;
  /** Dot products of bytes. */
  neonDot: boolean;
  neonBf16: boolean;
  sve: boolean;
}

/** What operands may be rounded to: nothing, two parts of bf16 in sums over calibration tokens (one in searches), or bf16. */
export type Precision = 'f32' | 'bf16x3' | 'bf16';

export interface NativeDevices {
  /** Name, version and kernel of the BLAS. */
  blas: string;
  /** Features count only when the system also saves their registers. Paths: the fastest f32 one first. */
  devices(): { features: CpuFeatures; gemmPaths: string[] };
  /** The GEMM paths that an engine takes: of its own, and for sums over calibration tokens. */
  gemmPathsOf(precision: Precision): Record<'own' | 'calibrating' | 'searching', string>;
  /** Loads the driver into the process: call it in one of its own (engine/gpu.ts). */
  probeGpus(library: string): GpuProbe;
}
