/** Calls of the native addon about the machine and the build; native.ts has the rest. */
export interface CpuFeatures {
  avx2: boolean;
  /** F, BW, DQ and VL. */
  avx512: boolean;
  avx512Bf16: boolean;
  amxBf16: boolean;
}

export interface NativeDevices {
  /** Features count only when the system also saves their registers. Paths: the fastest f32 one first. */
  devices(): { features: CpuFeatures; gemmPaths: string[] };
  /** The fastest GEMM path, which an engine takes; bf16 only where the hardware has it. */
  gemmPathOf(allowBf16: boolean): string;
}
