#include "ops/cholesky.h"

#include <algorithm>

#include "ops/blas.h"
#include "ops/gemm.h"
#include "ops/rows.h"

namespace struprune {

// LAPACK is column-major: the lower triangle of a row-major matrix is its upper one there.
bool Cholesky(size_t n, double* a, size_t lda) {
  const char uplo = 'U';
  const lapack_int size = BlasInt(n), stride = BlasInt(lda);
  lapack_int info = 0;
  STRUPRUNE_LAPACK(dpotrf)(&uplo, &size, a, &stride, &info, 1);
  return info == 0;
}

void CholeskySolveRows(size_t n, const double* factor, size_t ldf, size_t m, double* x,
                       size_t ldx) {
  SolveLower(true, n, factor, ldf, m, x, ldx);
  SolveLower(false, n, factor, ldf, m, x, ldx);
}

void ParallelCholeskySolveRows(Context& context, size_t n, const double* factor, size_t ldf,
                               size_t m, double* x, size_t ldx) {
  context.pool.ParallelFor((m + kTaskRows - 1) / kTaskRows, [&](size_t tile, size_t) {
    context.CheckAbort();
    const size_t row = tile * kTaskRows;
    CholeskySolveRows(n, factor, ldf, std::min(kTaskRows, m - row), x + row * ldx, ldx);
  });
}

void CholeskyInverse(size_t n, double* a, size_t lda) {
  const char uplo = 'U';
  const lapack_int size = BlasInt(n), stride = BlasInt(lda);
  lapack_int info = 0;
  STRUPRUNE_LAPACK(dpotri)(&uplo, &size, a, &stride, &info, 1);
  if (info != 0) throw Error("ERR_NUMERIC", "the inverse of a factored matrix does not exist");
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) a[j * lda + i] = a[i * lda + j];
  }
}

}  // namespace struprune
