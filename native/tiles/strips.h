// Whole rows of a tiled matrix on their way in and out, a few at a time.
#pragma once

#include <algorithm>

#include "tiles/tile_matrix.h"

namespace struprune {

// Calls visit(i, first, rows, done) for every row of tiles that rows [row, row + count) touch: rows
// [first, first + rows) of the tiles (i, ·), `done` rows after `row`.
template <typename Visit>
void EachStrip(const TileAxis& axis, size_t row, size_t count, Visit visit) {
  for (size_t done = 0; done < count;) {
    const size_t i = axis.tile_of(row + done), first = row + done - axis.begin(i);
    const size_t rows = std::min(count - done, axis.count(i) - first);
    visit(i, first, rows, done);
    done += rows;
  }
}

// Rows [row, row + count) of `matrix` ← values [count, cols]; of a symmetric matrix the tiles that it has.
template <typename T, typename From>
void WriteRows(TileMatrix<T>& matrix, size_t row, size_t count, const From* values) {
  const TileAxis& columns = matrix.cols();
  EachStrip(matrix.rows(), row, count, [&](size_t i, size_t first, size_t rows, size_t done) {
    for (size_t j = 0; j < columns.tiles() && matrix.Has(i, j); ++j) {
      const Tile<T> tile = matrix.Update(i, j);
      const From* from = values + done * columns.size() + columns.begin(j);
      for (size_t r = 0; r < rows; ++r, from += columns.size()) {
        for (size_t c = 0; c < tile.cols; ++c) tile.row(first + r)[c] = static_cast<T>(from[c]);
      }
    }
  });
}

// The other way, for a matrix of any shape: values [count, cols] ← rows of it.
template <typename T, typename To>
void ReadRows(const TileMatrix<T>& matrix, size_t row, size_t count, To* values) {
  const TileAxis& columns = matrix.cols();
  EachStrip(matrix.rows(), row, count, [&](size_t i, size_t first, size_t rows, size_t done) {
    for (size_t j = 0; j < columns.tiles(); ++j) {
      const bool own = matrix.Has(i, j);
      const Tile<const T> tile = own ? matrix.Read(i, j) : matrix.Read(j, i);
      const bool zero = !own && matrix.shape() == Shape::kLower;
      To* to = values + done * columns.size() + columns.begin(j);
      for (size_t r = first; r < first + rows; ++r, to += columns.size()) {
        for (size_t c = 0; c < columns.count(j); ++c) {
          to[c] = zero ? To{0} : static_cast<To>(own ? tile.row(r)[c] : tile.row(c)[r]);
        }
      }
    }
  });
}

}  // namespace struprune
