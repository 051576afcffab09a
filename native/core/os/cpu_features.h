// What the processor and the operating system offer.
#pragma once

namespace struprune::os {

struct CpuFeatures {
  bool avx2 = false;         // with FMA
  bool avx512 = false;       // F, BW, DQ and VL
  bool avx512_bf16 = false;  // bf16 dot products in vector registers
  bool amx_bf16 = false;     // bf16 products in tiles
  bool neon = false;
  bool neon_dot = false;   // dot products of bytes
  bool neon_bf16 = false;  // bf16 products in vector registers
  bool sve = false;
};

// Asked once. A feature counts only when the system also saves its registers, and STRUPRUNE_CPU
// does not hide it: `avx2`, `avx512`. @throws Error ERR_ARGUMENT for another word.
const CpuFeatures& HostCpu();

// Linux gives a process the tiles' state when it asks; whether it did, or needs not be asked.
bool AskForTiles();

}  // namespace struprune::os
