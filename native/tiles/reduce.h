// Sums over tiled matrices. Every tile is summed by one task and the tiles in order, so that
// threads do not change a result.
#pragma once

#include <vector>

#include "tiles/tile_matrix.h"

namespace struprune {

// Σ a_ij b_ij; both have Shape::kFull and one size.
double Dot(const TileMatrix<double>& a, const TileMatrix<double>& b);
// [cols] Σ_i a_ij b_ij; both full or both symmetric.
std::vector<double> ColumnDots(const TileMatrix<double>& a, const TileMatrix<double>& b);
// [rows] Σ_j a_ij v_j, for v [cols]; a full or symmetric.
template <typename T>
std::vector<double> TimesVector(const TileMatrix<T>& a, const std::vector<double>& v);
// [rows] The diagonal of a square matrix.
std::vector<double> Diagonal(const TileMatrix<double>& a);
// Throws ERR_NAN when an element is not finite; `what` names the matrix.
template <typename T>
void CheckFinite(const TileMatrix<T>& a, const char* what);

}  // namespace struprune
