#include "tiles/elementwise.h"

#include <algorithm>

namespace struprune {

void Add(double scale, const TileMatrix<double>& from, TileMatrix<double>& to) {
  EachTile(
      [&](size_t i, size_t j) {
        const auto source = from.Read(i, j);
        const auto target = to.Update(i, j);
        for (size_t r = 0; r < target.rows; ++r) {
          for (size_t c = 0; c < target.cols; ++c) target.row(r)[c] += scale * source.row(r)[c];
        }
      },
      to, from);
}

void Fill(double value, TileMatrix<double>& matrix) {
  EachTile(
      [&](size_t i, size_t j) {
        const auto tile = matrix.Write(i, j);
        std::fill_n(tile.data, tile.rows * tile.stride, value);
      },
      matrix);
}

void Scale(double factor, TileMatrix<double>& matrix) {
  EachTile(
      [&](size_t i, size_t j) {
        const auto tile = matrix.Update(i, j);
        for (size_t r = 0; r < tile.rows; ++r) {
          for (size_t c = 0; c < tile.cols; ++c) tile.row(r)[c] *= factor;
        }
      },
      matrix);
}

void AddDiagonal(std::span<const double> values, TileMatrix<double>& square) {
  for (size_t i = 0; i < square.rows().tiles(); ++i) {
    const auto tile = square.Update(i, i);
    const auto own = values.subspan(square.rows().begin(i), tile.rows);
    for (size_t r = 0; r < tile.rows; ++r) tile.row(r)[r] += own[r];
  }
}

TileMatrix<double> Copy(const TileMatrix<double>& from) {
  TileMatrix<double> to(from.space(), from.rows().size(), from.cols().size(), from.shape());
  EachTile(
      [&](size_t i, size_t j) {
        const auto source = from.Read(i, j);
        const auto target = to.Write(i, j);
        std::copy_n(source.data, source.rows * source.stride, target.data);
      },
      to, from);
  return to;
}

TileMatrix<double> Transposed(double scale, const TileMatrix<double>& from) {
  TileMatrix<double> to(from.space(), from.cols().size(), from.rows().size());
  RunTiles(
      to.space(), to.rows().tiles() * to.cols().tiles(),
      [&](size_t index, Visits& visits) {
        const size_t i = index / to.cols().tiles(), j = index % to.cols().tiles();
        visits.push_back(to.At(i, j));
        visits.push_back(from.At(j, i));
      },
      [&](size_t index, size_t) {
        const size_t i = index / to.cols().tiles(), j = index % to.cols().tiles();
        const auto source = from.Read(j, i);
        const auto target = to.Write(i, j);
        for (size_t r = 0; r < target.rows; ++r) {
          for (size_t c = 0; c < target.cols; ++c) target.row(r)[c] = scale * source.row(c)[r];
        }
      });
  return to;
}

}  // namespace struprune
