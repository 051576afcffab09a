// The built-in tiled products: used where cuBLAS is not there. Exact fp32 or fp64 arithmetic.
#pragma once

#include "cuda/check.h"

namespace struprune::cuda {

template <typename T, typename Out>
struct Product {
  int64_t m = 0, n = 0, k = 0;
  Out alpha = 1;
  const T* a = nullptr;
  int64_t lda = 0;
  const T* b = nullptr;
  int64_t ldb = 0;
  Out beta = 0;
  Out* c = nullptr;
  int64_t ldc = 0;
  // Only cells with column <= row + diagonal are computed, where `lower`.
  bool lower = false;
  int64_t diagonal = 0;
};

// C = alpha op(A) op(B) + beta C; sums in T, the last step in Out.
void MultiplyTiled(bool ta, bool tb, const Product<float, float>& product, cudaStream_t stream);
void MultiplyTiled(bool ta, bool tb, const Product<double, double>& product, cudaStream_t stream);
// The same for op = (T, N), added to doubles.
void MultiplyTiled(const Product<float, double>& product, cudaStream_t stream);

}  // namespace struprune::cuda
