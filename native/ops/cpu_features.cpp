#include "ops/cpu_features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace struprune {
namespace {

#if defined(__x86_64__)
// Which register files the system saves on a task switch (Intel SDM vol. 1, 13.3).
uint64_t SavedState() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

CpuFeatures Ask() {
  constexpr uint64_t kAvxState = 0x6, kAvx512State = 0xe6, kTileState = 0x60000;
  CpuFeatures cpu;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  const bool has_xgetbv = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE);
  if (!has_xgetbv) return cpu;
  const bool fma = c & bit_FMA;
  const uint64_t saved = SavedState();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
  const uint32_t leaves = a;
  const uint32_t wanted = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  cpu.avx2 = fma && (b & bit_AVX2) && (saved & kAvxState) == kAvxState;
  cpu.avx512 = cpu.avx2 && (b & wanted) == wanted && (saved & kAvx512State) == kAvx512State;
  // Leaf 7.0, EDX: bit 22 AMX-BF16, bit 24 AMX-TILE. Leaf 7.1, EAX: bit 5 AVX512_BF16.
  const uint32_t amx = (1u << 22) | (1u << 24);
  cpu.amx_bf16 = cpu.avx512 && (d & amx) == amx && (saved & kTileState) == kTileState;
  if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    cpu.avx512_bf16 = cpu.avx512 && (a & (1u << 5));
  }
  return cpu;
}
#else
CpuFeatures Ask() { return {}; }
#endif

}  // namespace

const CpuFeatures& HostCpu() {
  static const CpuFeatures cpu = Ask();
  return cpu;
}

}  // namespace struprune
