// Parts of a tiled matrix on their way in and out: as plain rows, a few at a time.
#pragma once

#include <algorithm>

#include "ops/strip_product.h"
#include "tiles/tile_matrix.h"

namespace struprune {

// Calls visit(tile, first, count, done) for every tile of the axis that [begin, begin + size)
// touches: its elements [first, first + count), `done` after `begin`.
template <typename Visit>
void EachPart(const TileAxis& axis, size_t begin, size_t size, Visit visit) {
  for (size_t done = 0; done < size;) {
    const size_t tile = axis.tile_of(begin + done), first = begin + done - axis.begin(tile);
    const size_t count = std::min(size - done, axis.count(tile) - first);
    visit(tile, first, count, done);
    done += count;
  }
}

// Rows [row, row + count) of the matrix ← values [count, cols]; of a symmetric one the tiles that
// it has.
template <typename T, typename From>
void WriteRows(TileMatrix<T>& matrix, size_t row, size_t count, const From* values) {
  const TileAxis& columns = matrix.cols();
  EachPart(matrix.rows(), row, count, [&](size_t i, size_t first, size_t rows, size_t done) {
    for (size_t j = 0; j < columns.tiles() && matrix.Has(i, j); ++j) {
      const Tile<T> tile = matrix.Update(i, j);
      const From* from = values + done * columns.size() + columns.begin(j);
      for (size_t r = 0; r < rows; ++r, from += columns.size()) {
        for (size_t c = 0; c < tile.cols; ++c) tile.row(first + r)[c] = static_cast<T>(from[c]);
      }
    }
  });
}

// to [rows, cols] ← the block of the matrix that starts at (row, column); of any shape.
template <typename T, typename To>
void ReadBlock(const TileMatrix<T>& matrix, size_t row, size_t rows, size_t column, size_t cols,
               To* to) {
  EachPart(matrix.rows(), row, rows, [&](size_t i, size_t r0, size_t height, size_t down) {
    EachPart(matrix.cols(), column, cols, [&](size_t j, size_t c0, size_t width, size_t right) {
      To* corner = to + down * cols + right;
      const bool own = matrix.Has(i, j);
      if (!own && matrix.shape() == Shape::kLower) {
        for (size_t r = 0; r < height; ++r) std::fill_n(corner + r * cols, width, To{0});
        return;
      }
      const auto tile = own ? matrix.Read(i, j) : matrix.Read(j, i);
      for (size_t r = 0; r < height; ++r) {
        const T* from = own ? tile.row(r0 + r) + c0 : tile.row(c0) + r0 + r;
        const size_t step = own ? 1 : tile.stride;
        for (size_t c = 0; c < width; ++c) corner[r * cols + c] = static_cast<To>(from[c * step]);
      }
    });
  });
}

template <typename T, typename To>
void ReadRows(const TileMatrix<T>& matrix, size_t row, size_t count, To* to) {
  ReadBlock(matrix, row, count, 0, matrix.cols().size(), to);
}

// to ← from, of one size.
template <typename T>
void ToStrips(const TileMatrix<T>& from, PagedMatrix& to) {
  FillStrips(from.context(), to,
             [&](size_t row, size_t count, float* values) { ReadRows(from, row, count, values); });
}

template <typename T>
TileMatrix<T> FromStrips(const TileSpace& space, PagedMatrix& from) {
  TileMatrix<T> to(space, from.rows(), from.cols());
  EachStrip(*space.context, from, [&](size_t row, size_t count, const float* values) {
    WriteRows(to, row, count, values);
  });
  return to;
}

}  // namespace struprune
