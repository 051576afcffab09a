// Tiled matrices made of plain ones for the tests, in stores of every size.
#pragma once

#include <random>
#include <vector>

#include "tiles/strips.h"
#include "tiles/tile_matrix.h"

namespace struprune::test {

// Row-major, dense.
struct Dense {
  size_t rows = 0, cols = 0;
  std::vector<double> values;
  double& at(size_t r, size_t c) { return values[r * cols + c]; }
  double at(size_t r, size_t c) const { return values[r * cols + c]; }
};

Dense RandomDense(size_t rows, size_t cols, unsigned seed);
// A Aᵀ of a random A, plus a tenth of n on the diagonal.
Dense RandomPositive(size_t n, unsigned seed);

// `resident` tiles of doubles fit in memory; 0 = all.
TileSpace MakeSpace(size_t side, size_t resident, size_t threads = 2);

template <typename T = double>
TileMatrix<T> ToTiles(const TileSpace& space, const Dense& from, Shape shape = Shape::kFull) {
  TileMatrix<T> matrix(space, from.rows, from.cols, shape);
  WriteRows(matrix, 0, from.rows, from.values.data());
  return matrix;
}

template <typename T>
Dense ToDense(const TileMatrix<T>& from) {
  Dense to{from.rows().size(), from.cols().size(), {}};
  to.values.resize(to.rows * to.cols);
  ReadRows(from, 0, to.rows, to.values.data());
  return to;
}

}  // namespace struprune::test
