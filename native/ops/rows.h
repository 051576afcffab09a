// Small operations on rows of doubles that the solver's inner loops share.
#pragma once

#include <cstddef>

namespace struprune {

double Dot(size_t n, const double* a, const double* b);

// X[m, n] <- X · inv(L), or X · inv(L)ᵀ, for the lower factor L[n, n] of row stride ldl.
void SolveLower(bool transposed, size_t n, const double* lower, size_t ldl, size_t m, double* x,
                size_t ldx);

}  // namespace struprune
