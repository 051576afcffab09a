// Products of tiled matrices.
#pragma once

#include "tiles/factor.h"

namespace struprune {

// C ← alpha op(A) op(B) + beta C, one task a tile of C; each sums along the inner side in order. Of
// a symmetric C only the tiles that it has are made. What a lower factor has above its diagonal is
// left out. C may be neither factor. With beta = 0, C need not be initialised.
void Multiply(double alpha, Factor a, Factor b, double beta, TileMatrix<double>& c);

}  // namespace struprune
