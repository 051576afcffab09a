// Whole rows of a tiled matrix on their way in and out, a few at a time.
#pragma once

#include <span>

#include "tiles/tile_matrix.h"

namespace struprune {

// Rows [row, row + count) of a matrix of Shape::kFull from, or of one with any shape to, values
// [count, cols].
template <typename T, typename From>
void WriteRows(TileMatrix<T>& matrix, size_t row, size_t count, const From* values);
template <typename T, typename To>
void ReadRows(const TileMatrix<T>& matrix, size_t row, size_t count, To* values);

// A matrix of its own from values [rows, cols]: of a symmetric one the tiles that it has.
template <typename T, typename From>
TileMatrix<T> FromRows(const TileSpace& space, size_t rows, size_t cols, Shape shape,
                       const From* values);

}  // namespace struprune
