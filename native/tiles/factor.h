// A matrix as it stands in a product.
#pragma once

#include "ops/gemm.h"
#include "tiles/tile_matrix.h"

namespace struprune {

struct Factor {
  const TileMatrix<double>& matrix;
  Trans trans = Trans::kNo;
  // A symmetric one, not transposed, stands for the matrix with its tiles above the diagonal folded
  // onto those below (0 and twice): tr(M H) is the same of every symmetric M, for fewer products.
  bool folded = false;
};

}  // namespace struprune
