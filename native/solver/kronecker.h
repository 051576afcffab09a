// The inverse of n⁻¹ A ⊗ H for each part of an FFN's input weights, both damped by a share of their
// diagonals: what the normal matrix of Gauss-Newton would be if slopes and inputs were independent,
// and gate and up too. Good enough a preconditioner that one step of conjugate gradients does most.
#pragma once

#include <vector>

#include "tiles/tile_matrix.h"

namespace struprune {

class KroneckerInverse {
 public:
  // inputs[n, n] = H = XᵀX over `tokens`; curvatures[part][width, width] = A, all symmetric. They
  // are factored in place. Throws ERR_NUMERIC where that fails: damped as they are, only for
  // numbers out of range.
  KroneckerInverse(double tokens, TileMatrix<double> inputs,
                   std::vector<TileMatrix<double>> curvatures);

  // The inverse times r[width, n] of a part.
  TileMatrix<double> Apply(size_t part, const TileMatrix<double>& r) const;

 private:
  const double tokens_;
  TileMatrix<double> inputs_;
  std::vector<TileMatrix<double>> curvatures_;
};

}  // namespace struprune
