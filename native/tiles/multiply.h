// Products of tiled matrices.
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

// C ← alpha op(A) op(B) + beta C, one task a tile of C; each sums along the inner side in order. Of
// a symmetric C only the tiles that it has are made. What a lower factor has above its diagonal is
// left out. C may be neither factor. With beta = 0, C need not be initialised.
void Multiply(double alpha, Factor a, Factor b, double beta, TileMatrix<double>& c);

}  // namespace struprune
