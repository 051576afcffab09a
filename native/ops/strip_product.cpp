#include "ops/strip_product.h"

#include <algorithm>

#include "ops/gemm.h"

namespace struprune {

void StripProduct(Context& context, PagedMatrix& weight, size_t rows, float alpha, const float* x,
                  float beta, float* out) {
  const size_t n = weight.rows(), k = weight.cols();
  if (k == 0 && beta == 0) std::fill_n(out, rows * n, 0.0f);
  EachStrip(context, weight, [&](size_t first, size_t count, const float* w) {
    Gemm(Trans::kNo, Trans::kYes, rows, count, k, alpha, x, k, w, k, beta, out + first, n);
  });
}

void StripProductBack(Context& context, PagedMatrix& weight, size_t rows, const float* x,
                      float beta, float* out) {
  const size_t n = weight.rows(), k = weight.cols();
  if (n == 0 && beta == 0) std::fill_n(out, rows * k, 0.0f);
  EachStrip(context, weight, [&](size_t first, size_t count, const float* w) {
    Gemm(Trans::kNo, Trans::kNo, rows, k, count, 1.0f, x + first, n, w, k, first == 0 ? beta : 1.0f,
         out, k);
  });
}

}  // namespace struprune
