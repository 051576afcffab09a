// Element by element over tiled matrices of one size.
#pragma once

#include <span>

#include "tiles/run_tiles.h"

namespace struprune {

// to ← to + scale · from.
void Add(double scale, const TileMatrix<double>& from, TileMatrix<double>& to);
void Fill(double value, TileMatrix<double>& matrix);
void Scale(double factor, TileMatrix<double>& matrix);
// square(i, i) += values[i].
void AddDiagonal(std::span<const double> values, TileMatrix<double>& square);
TileMatrix<double> Copy(const TileMatrix<double>& from);
// [cols, rows] scale · fromᵀ of a full matrix.
TileMatrix<double> Transposed(double scale, const TileMatrix<double>& from);

}  // namespace struprune
