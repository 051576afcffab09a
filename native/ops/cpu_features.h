// What the processor and the operating system offer, by CPUID; all false away from x86-64.
#pragma once

namespace struprune {

struct CpuFeatures {
  bool avx2 = false;
  bool avx512 = false;       // F, BW, DQ and VL
  bool avx512_bf16 = false;  // bf16 dot products in vector registers
  bool amx_bf16 = false;     // bf16 products in tiles
};

// Asked once. A feature counts only when the system also saves its registers.
const CpuFeatures& HostCpu();

}  // namespace struprune
