// Cholesky factors of row-major matrices of doubles and what they solve, by the LAPACK that the
// build chose, on the calling thread; the Parallel* form splits rows over the pool in a fixed way.
#pragma once

#include <cstddef>

#include "core/context.h"

namespace struprune {

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

}  // namespace struprune
