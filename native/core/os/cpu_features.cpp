#include "core/os/cpu_features.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__linux__) && defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace struprune::os {
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
#elif defined(__linux__) && defined(__aarch64__)
CpuFeatures Ask() {
  // Bits of the kernel's asm/hwcap.h, which older headers have not.
  constexpr unsigned long kDot = 1ul << 20, kSve = 1ul << 22, kBf16 = 1ul << 14;
  const unsigned long has = getauxval(AT_HWCAP), has2 = getauxval(AT_HWCAP2);
  return {.neon = true,
          .neon_dot = (has & kDot) != 0,
          .neon_bf16 = (has2 & kBf16) != 0,
          .sve = (has & kSve) != 0};
}
#elif defined(__APPLE__) && defined(__aarch64__)
bool Has(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

CpuFeatures Ask() {
  return {.neon = true,
          .neon_dot = Has("hw.optional.arm.FEAT_DotProd"),
          .neon_bf16 = Has("hw.optional.arm.FEAT_BF16")};
}
#else
CpuFeatures Ask() { return {}; }
#endif

// STRUPRUNE_CPU hides what this processor has beyond another.
CpuFeatures Allowed(CpuFeatures cpu) {
  const char* named = std::getenv("STRUPRUNE_CPU");
  if (named == nullptr || *named == '\0') return cpu;
  const std::string most = named;
  if (most != "avx2" && most != "avx512") {
    throw Error("ERR_ARGUMENT", "STRUPRUNE_CPU is '" + most + "'", "choose avx2 or avx512");
  }
  cpu.amx_bf16 = cpu.avx512_bf16 = false;
  cpu.avx512 = cpu.avx512 && most == "avx512";
  return cpu;
}

}  // namespace

const CpuFeatures& HostCpu() {
  static const CpuFeatures cpu = Allowed(Ask());
  return cpu;
}

bool AskForTiles() {
#if defined(__linux__) && defined(__x86_64__)
  // arch_prctl(ARCH_REQ_XCOMP_PERM)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return true;
#endif
}

}  // namespace struprune::os
