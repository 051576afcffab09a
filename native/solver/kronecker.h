// The inverse of n⁻¹ A ⊗ H for each part of an FFN's input weights, both damped by a share of their
// diagonals: what the normal matrix of Gauss-Newton would be if slopes and inputs were independent,
// and gate and up too. Good enough a preconditioner that one step of conjugate gradients does most.
#pragma once

#include <vector>

#include "core/context.h"

namespace struprune {

class KroneckerInverse {
 public:
  // inputs[n, n] = H = XᵀX over `tokens`; curvatures[part][width, width] = A. Both are factored in
  // place. Throws ERR_NUMERIC where that fails: damped as they are, only for numbers out of range.
  KroneckerInverse(Context& context, double tokens, size_t n, Buffer<double> inputs, size_t width,
                   std::vector<Buffer<double>> curvatures);

  // z[parts * width, n] = the inverse times r of the same shape.
  void Apply(const double* r, double* z) const;

 private:
  Context& context_;
  const double tokens_;
  const size_t n_, width_;
  Buffer<double> inputs_;
  std::vector<Buffer<double>> curvatures_;
};

}  // namespace struprune
