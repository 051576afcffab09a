#include <cstddef>
#include <string_view>

#include "core/context.h"
#include "core/os/shared_library.h"
#include "ops/blas.h"
#include "ops/gemm.h"

namespace struprune {

namespace {

// Of OpenBLAS's kernels, seen on whole prunes (test/e2e): 24 with AVX2, 64 with AVX-512.
[[maybe_unused]] size_t RowStepOf(std::string_view kernel) {
  for (const std::string_view avx512 : {"SkylakeX", "Cooperlake", "SapphireRapids"}) {
    if (kernel == avx512) return 64;
  }
  return kernel == "Haswell" || kernel == "Zen" ? 24 : kAnyRowStep;
}

}  // namespace

#if defined(STRUPRUNE_BLAS_SCIPY)
std::string BlasDescription() {
  return std::string(scipy_openblas_get_config()) + ", kernel " + scipy_openblas_get_corename();
}
size_t BlasRowStep() { return RowStepOf(scipy_openblas_get_corename()); }
void InitialiseBlas() { scipy_openblas_set_num_threads(1); }
#elif defined(STRUPRUNE_BLAS_OPENBLAS)
std::string BlasDescription() {
  return std::string(openblas_get_config()) + ", kernel " + openblas_get_corename();
}
size_t BlasRowStep() { return RowStepOf(openblas_get_corename()); }
void InitialiseBlas() { openblas_set_num_threads(1); }
#elif defined(STRUPRUNE_BLAS_MKL)
std::string BlasDescription() { return "MKL, sequential"; }
size_t BlasRowStep() { return kAnyRowStep; }
void InitialiseBlas() {}
#elif defined(STRUPRUNE_BLAS_ACCELERATE)
std::string BlasDescription() { return "Accelerate"; }
size_t BlasRowStep() { return kAnyRowStep; }
void InitialiseBlas() {}

void OneBlasThread() {
  using Set = int (*)(unsigned threading);
  constexpr unsigned kSingleThreaded = 1;
  constexpr const char* kPath = "/System/Library/Frameworks/Accelerate.framework/Accelerate";
  static const auto set = reinterpret_cast<Set>(
      os::FindSymbol(os::LoadSharedLibrary(kPath, nullptr), "BLASSetThreading"));
  thread_local const bool asked = [] { return set && set(kSingleThreaded) == 0; }();
  static_cast<void>(asked);
}
#else
std::string BlasDescription() { return "system BLAS"; }
size_t BlasRowStep() { return kAnyRowStep; }
void InitialiseBlas() {}
#endif

}  // namespace struprune
