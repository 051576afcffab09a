// Dense linear algebra on row-major matrices, by the BLAS and LAPACK that the build chose; products
// of floats by the thread's GEMM path (ops/gemm_path.h). Every call runs on the calling thread; the
// Parallel* forms split rows over the pool in a fixed way.
#pragma once

#include <cstddef>
#include <string>

#include "core/context.h"

namespace struprune {

enum class Trans : bool { kNo = false, kYes = true };

// C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C; ld = row stride in elements.
void Gemm(Trans ta, Trans tb, size_t m, size_t n, size_t k, float alpha, const float* a, size_t lda,
          const float* b, size_t ldb, float beta, float* c, size_t ldc);
void Gemm(Trans ta, Trans tb, size_t m, size_t n, size_t k, double alpha, const double* a,
          size_t lda, const double* b, size_t ldb, double beta, double* c, size_t ldc);

// C[n, n] = op(A) op(B), of which the elements up to the diagonal count; those above it are made or
// left.
void GemmLower(Trans ta, Trans tb, size_t n, size_t k, const float* a, size_t lda, const float* b,
               size_t ldb, float* c, size_t ldc);

// The product of doubles with the rows of C split over the pool.
void ParallelGemm(Context& context, Trans ta, Trans tb, size_t m, size_t n, size_t k, double alpha,
                  const double* a, size_t lda, const double* b, size_t ldb, double beta, double* c,
                  size_t ldc);

// Lower Cholesky factor of the symmetric positive definite a[n, n] (lower triangle read, factor
// written there). Returns false, leaving a undefined, when a pivot is not positive.
bool Cholesky(size_t n, double* a, size_t lda);
// X[m, n] <- X * inv(L)ᵀ * inv(L) for the lower factor L[n, n]: solves X A = B by rows of B, in
// place.
void CholeskySolveRows(size_t n, const double* factor, size_t ldf, size_t m, double* x, size_t ldx);
// The same with the rows split over the pool.
void ParallelCholeskySolveRows(Context& context, size_t n, const double* factor, size_t ldf,
                               size_t m, double* x, size_t ldx);
// a[n, n] holds the lower factor; becomes the full symmetric inverse of the factored matrix.
void CholeskyInverse(size_t n, double* a, size_t lda);

// Name, version and kernel of the BLAS in use, for reports.
std::string BlasDescription();
// Must run once before any of the above: makes the BLAS single-threaded.
void InitialiseBlas();

}  // namespace struprune
