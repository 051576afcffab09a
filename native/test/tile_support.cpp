#include "tile_support.h"

#include <gtest/gtest.h>

#include "ops/gemm.h"

namespace struprune::test {

Dense RandomDense(size_t rows, size_t cols, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Dense dense{rows, cols, std::vector<double>(rows * cols)};
  for (double& value : dense.values) value = normal(random);
  return dense;
}

Dense RandomPositive(size_t n, unsigned seed) {
  const Dense a = RandomDense(n, n, seed);
  Dense square{n, n, std::vector<double>(n * n)};
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t k = 0; k < n; ++k) square.at(i, j) += a.at(i, k) * a.at(j, k);
    }
    square.at(i, i) += 0.1 * static_cast<double>(n);
  }
  return square;
}

TileSpace MakeSpace(size_t side, size_t resident, size_t threads) {
  InitialiseBlas();
  auto context = std::make_shared<Context>(threads, 0);
  const size_t limit = resident * side * side * sizeof(double);
  return {context, std::make_shared<PageStore>(context, limit, testing::TempDir()), side};
}

}  // namespace struprune::test
