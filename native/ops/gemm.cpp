#include "ops/gemm.h"

#include <algorithm>

#include "ops/blas.h"
#include "ops/gemm_amx.h"
#include "ops/gemm_path.h"
#ifdef STRUPRUNE_ONEDNN
#include "ops/gemm_onednn.h"
#endif

namespace struprune {
namespace {

CBLAS_TRANSPOSE Code(Trans trans) { return trans == Trans::kYes ? CblasTrans : CblasNoTrans; }

}  // namespace

void Gemm(Trans ta, Trans tb, size_t m, size_t n, size_t k, float alpha, const float* a, size_t lda,
          const float* b, size_t ldb, float beta, float* c, size_t ldc) {
  // Products of nothing stay with the BLAS, whose rules for them are the contract.
  const GemmPath path = m * n * k == 0 || alpha == 0 ? GemmPath::kCblasF32 : CurrentGemmPath();
  const bool transpose_a = ta == Trans::kYes, transpose_b = tb == Trans::kYes;
  if (const size_t parts = PartsOf(path)) {
    const AmxTerm term{.b = {b, ldb, transpose_b}, .n = n, .c = c, .ldc = ldc};
    AmxGemm(parts, m, k, alpha, {a, lda, transpose_a}, {&term, 1}, beta);
    return;
  }
#ifdef STRUPRUNE_ONEDNN
  if (path != GemmPath::kCblasF32) {
    OneDnnGemm(IsBf16(path), transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c,
               ldc);
    return;
  }
#endif
  STRUPRUNE_BLAS(cblas_sgemm)
  (CblasRowMajor, Code(ta), Code(tb), BlasInt(m), BlasInt(n), BlasInt(k), alpha, a, BlasInt(lda), b,
   BlasInt(ldb), beta, c, BlasInt(ldc));
}

void GemmLower(Trans ta, Trans tb, size_t n, size_t k, const float* a, size_t lda, const float* b,
               size_t ldb, float* c, size_t ldc) {
  const size_t parts = n * k == 0 ? 0 : PartsOf(CurrentGemmPath());
  if (parts == 0) return Gemm(ta, tb, n, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, ldc);
  const AmxTerm term{.b = {b, ldb, tb == Trans::kYes}, .n = n, .c = c, .ldc = ldc, .lower = true};
  AmxGemm(parts, n, k, 1, {a, lda, ta == Trans::kYes}, {&term, 1}, 0);
}

void Gemm(Trans ta, Trans tb, size_t m, size_t n, size_t k, double alpha, const double* a,
          size_t lda, const double* b, size_t ldb, double beta, double* c, size_t ldc) {
  STRUPRUNE_BLAS(cblas_dgemm)
  (CblasRowMajor, Code(ta), Code(tb), BlasInt(m), BlasInt(n), BlasInt(k), alpha, a, BlasInt(lda), b,
   BlasInt(ldb), beta, c, BlasInt(ldc));
}

void ParallelGemm(Context& context, Trans ta, Trans tb, size_t m, size_t n, size_t k, double alpha,
                  const double* a, size_t lda, const double* b, size_t ldb, double beta, double* c,
                  size_t ldc) {
  context.pool.ParallelFor((m + kTaskRows - 1) / kTaskRows, [&](size_t tile, size_t) {
    context.CheckAbort();
    const size_t row = tile * kTaskRows;
    const double* rows = ta == Trans::kYes ? a + row : a + row * lda;
    Gemm(ta, tb, std::min(kTaskRows, m - row), n, k, alpha, rows, lda, b, ldb, beta, c + row * ldc,
         ldc);
  });
}

}  // namespace struprune
