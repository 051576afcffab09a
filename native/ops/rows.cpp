#include "ops/rows.h"

#include "core/simd.h"
#include "ops/blas.h"
#include "ops/gemm.h"

namespace struprune {

// Eight running sums, so that the loop vectorises in an order that no compiler flag changes.
STRUPRUNE_CLONES double Dot(size_t n, const double* a, const double* b) {
  double sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

namespace {

// Columns from which on the solver of the BLAS, a third as fast as its products, is given halves.
constexpr size_t kSolveColumns = 32;

}  // namespace

void SolveLower(bool transposed, size_t n, const double* lower, size_t ldl, size_t m, double* x,
                size_t ldx) {
  if (n > kSolveColumns) {
    const size_t half = (n / 2 + 31) / 32 * 32, rest = n - half;
    const double* below = lower + half * ldl;  // L_21
    if (transposed) {
      SolveLower(true, half, lower, ldl, m, x, ldx);
      Gemm(Trans::kNo, Trans::kYes, m, rest, half, -1, x, ldx, below, ldl, 1, x + half, ldx);
      SolveLower(true, rest, below + half, ldl, m, x + half, ldx);
    } else {
      SolveLower(false, rest, below + half, ldl, m, x + half, ldx);
      Gemm(Trans::kNo, Trans::kNo, m, half, rest, -1, x + half, ldx, below, ldl, 1, x, ldx);
      SolveLower(false, half, lower, ldl, m, x, ldx);
    }
    return;
  }
  STRUPRUNE_BLAS(cblas_dtrsm)
  (CblasRowMajor, CblasRight, CblasLower, transposed ? CblasTrans : CblasNoTrans, CblasNonUnit,
   static_cast<blasint>(m), static_cast<blasint>(n), 1.0, lower, static_cast<blasint>(ldl), x,
   static_cast<blasint>(ldx));
}

}  // namespace struprune
