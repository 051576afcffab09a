// Cholesky factors by tiles, and what they solve. Left-looking: of a column of tiles all that
// stands left of it is subtracted when its turn comes, so that every tile is written once or twice.
#pragma once

#include "tiles/tile_matrix.h"

namespace struprune {

// The symmetric positive definite A becomes its factor L, A = L Lᵀ, with Shape::kLower. False, A
// then undefined, when a pivot is not positive.
[[nodiscard]] bool FactorCholesky(TileMatrix<double>& a);

// X ← X L⁻ᵀ and X ← X L⁻¹ for X [m, n]; one after the other they solve X A = B by rows of B.
void SolveForward(const TileMatrix<double>& lower, TileMatrix<double>& x);
// X may have Shape::kLower itself.
void SolveBackward(const TileMatrix<double>& lower, TileMatrix<double>& x);

// L⁻¹, with Shape::kLower.
TileMatrix<double> InvertLower(const TileMatrix<double>& lower);
// A⁻¹ = L⁻ᵀ L⁻¹, symmetric.
TileMatrix<double> InvertFactored(const TileMatrix<double>& lower);

}  // namespace struprune
