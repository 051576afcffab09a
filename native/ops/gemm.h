// Products of row-major matrices by the BLAS that the build chose, those of floats by the thread's
// GEMM path (ops/gemm_path.h). Every call runs on the calling thread; ParallelGemm splits rows over
// the pool in a fixed way.
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

// Rows a task of what is split over the pool: small enough to balance, large enough for a fast
// product.
inline constexpr size_t kTaskRows = 128;

// The product of doubles with the rows of C split over the pool.
void ParallelGemm(Context& context, Trans ta, Trans tb, size_t m, size_t n, size_t k, double alpha,
                  const double* a, size_t lda, const double* b, size_t ldb, double beta, double* c,
                  size_t ldc);

// Name, version and kernel of the BLAS in use, for reports.
std::string BlasDescription();
// Rows that its kernel takes at a time: those that are left over it rounds otherwise.
size_t BlasRowStep();
// Must run once before any of the above: makes the BLAS single-threaded.
void InitialiseBlas();

}  // namespace struprune
