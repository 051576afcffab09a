// Which library and precision compute the float products (Gemm of floats in ops/gemm.h). Products
// of doubles always go to the BLAS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/context.h"

namespace struprune {

enum class GemmPath : uint8_t {
  kCblasF32,
  kAmxF32,  // operands in three parts of bf16, no less exact than sgemm (ops/gemm_amx.h)
  kOneDnnF32,
  // Operands rounded to bf16, sums in f32: about 3 significant digits a product.
  kOneDnnBf16,
  kAvx512Bf16,  // as in AMX tiles, but in vector registers
  kAmxBf16,
  // Operands in two parts of bf16: about 5 digits.
  kAmxBf16x3,
};

// "cblas-f32", "amx-f32", "onednn-f32", "onednn-bf16", "avx512-bf16", "amx-bf16", "amx-bf16x3".
std::string_view NameOf(GemmPath path);
bool IsBf16(GemmPath path);
// Parts of a packed operand (ops/gemm_amx.h); 0: the path packs none.
size_t PartsOf(GemmPath path);

// What this build can run on this processor, the fastest f32 path first, the fastest bf16 one last,
// BF16x3 before all bf16 ones.
// bf16 is listed only where the hardware multiplies it (AVX512_BF16 by oneDNN, or AMX_BF16); where
// it must be emulated it is slower than f32.
const std::vector<GemmPath>& AvailableGemmPaths();

// The fastest available path; a bf16 one only when the user allows the loss of precision.
GemmPath BestGemmPath(bool allow_bf16);

// What the user allows operands to be rounded to: kF32, nothing. kBf16x3, sums over calibration
// tokens to two parts of bf16 (docs/decisions/0009) and searches to one (0016), where that is
// faster. kBf16, everything.
enum class AllowedPrecision : uint8_t { kF32, kBf16x3, kBf16 };
GemmPath PathFor(AllowedPrecision precision, Purpose purpose);

// The path that products of this thread take: BestGemmPath(false) until SetGemmPath. Setting throws
// ERR_UNSUPPORTED for a path that is not available.
GemmPath CurrentGemmPath();
void SetGemmPath(GemmPath path);

// Another path for a while.
class ScopedGemmPath {
 public:
  explicit ScopedGemmPath(GemmPath path);
  ~ScopedGemmPath();
  ScopedGemmPath(const ScopedGemmPath&) = delete;
  ScopedGemmPath& operator=(const ScopedGemmPath&) = delete;

 private:
  const GemmPath before_;
};

}  // namespace struprune
