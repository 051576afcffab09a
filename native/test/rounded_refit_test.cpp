#include "solver/rounded_refit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/codec.h"
#include "solver/refit.h"
#include "solver_support.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

using test::Matrix;
using test::RandomSite;
using test::SiteData;
using test::SmallTiles;
using test::WeightOf;

constexpr size_t kBlock = 32;

// A lower triangle whose columns lean on each other.
Matrix RandomFactor(size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  Matrix factor(n, std::vector<double>(n, 0.0));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) factor[i][j] = 0.3 * normal(engine);
    factor[i][i] = 1 + std::abs(normal(engine));
  }
  return factor;
}

std::vector<float> RandomWeight(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

// Of each row ‖(Q − W) L‖².
double ErrorOf(const Matrix& factor, size_t rows, const std::vector<float>& weight,
               const std::vector<float>& rounded) {
  const size_t n = factor.size();
  double total = 0;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (size_t i = j; i < n; ++i) {
        sum += (static_cast<double>(rounded[row * n + i]) - weight[row * n + i]) * factor[i][j];
      }
      total += sum * sum;
    }
  }
  return total;
}

std::vector<float> Rounded(const Matrix& factor, Dtype dtype, size_t rows,
                           const std::vector<float>& weight, size_t threads) {
  const size_t n = factor.size();
  const TileSpace space = SmallTiles(threads);
  TileMatrix<double> lower(space, n, n, Shape::kLower);
  std::vector<double> flat;
  for (const auto& row : factor) flat.insert(flat.end(), row.begin(), row.end());
  WriteRows(lower, 0, n, flat.data());
  TileMatrix<float> values(space, rows, n);
  WriteRows(values, 0, rows, weight.data());
  RoundWithFeedback(lower, dtype, values);
  std::vector<float> result(rows * n);
  ReadRows(values, 0, rows, result.data());
  return result;
}

class RoundingTest : public testing::TestWithParam<Dtype> {};

TEST_P(RoundingTest, IsWhatTheDtypeHoldsAndEncodesAgain) {
  constexpr size_t kRows = 37, kColumns = 96;
  const auto rounded =
      Rounded(RandomFactor(kColumns, 1), GetParam(), kRows, RandomWeight(kRows * kColumns, 2), 2);
  std::vector<std::byte> stored(StorageBytes(GetParam(), rounded.size()));
  EXPECT_EQ(Encode(GetParam(), rounded.data(), rounded.size(), stored.data()), 0u);
  std::vector<float> back(rounded.size());
  Dequantise(GetParam(), stored.data(), back.size(), back.data());
  EXPECT_EQ(back, rounded);
}

// Column by column over whole rows, by the formula; every block's steps are known by the result.
TEST_P(RoundingTest, EveryColumnIsTheNearestStepGivenThoseBehindIt) {
  constexpr size_t kRows = 20, kColumns = 96;
  const Matrix factor = RandomFactor(kColumns, 3);
  const auto weight = RandomWeight(kRows * kColumns, 4);
  const auto rounded = Rounded(factor, GetParam(), kRows, weight, 1);
  size_t other = 0;
  for (size_t row = 0; row < kRows; ++row) {
    const float* w = weight.data() + row * kColumns;
    const float* q = rounded.data() + row * kColumns;
    for (size_t j = 0; j < kColumns; ++j) {
      const auto steps = StepsOf(GetParam(), q + j / kBlock * kBlock);
      double sum = 0;
      for (size_t i = j + 1; i < kColumns; ++i) {
        sum += (static_cast<double>(q[i]) - w[i]) * factor[i][j];
      }
      const double wanted = w[j] - sum / factor[j][j];
      double nearest = INFINITY;
      for (int step = 0; step <= steps->most; ++step) {
        nearest = std::min(nearest, std::abs(steps->value(step) - wanted));
      }
      other += std::abs(q[j] - wanted) > nearest + 1e-6 ? 1 : 0;
    }
  }
  // Outermost steps that a block must have, in few blocks.
  EXPECT_LE(other, kRows * kColumns / kBlock / 4);
}

TEST_P(RoundingTest, AddsLessThanRoundingByItself) {
  constexpr size_t kRows = 16, kColumns = 128;
  const Matrix factor = RandomFactor(kColumns, 5);
  const auto weight = RandomWeight(kRows * kColumns, 6);
  std::vector<std::byte> stored(StorageBytes(GetParam(), weight.size()));
  Encode(GetParam(), weight.data(), weight.size(), stored.data());
  std::vector<float> plain(weight.size());
  Dequantise(GetParam(), stored.data(), plain.size(), plain.data());
  const auto rounded = Rounded(factor, GetParam(), kRows, weight, 2);
  EXPECT_LT(ErrorOf(factor, kRows, weight, rounded), 0.6 * ErrorOf(factor, kRows, weight, plain));
}

INSTANTIATE_TEST_SUITE_P(Few, RoundingTest,
                         testing::Values(Dtype::Q4_0, Dtype::Q4_1, Dtype::Q5_0, Dtype::Q5_1,
                                         Dtype::MXFP4),
                         [](const auto& test) { return std::string(NameOf(test.param)); });

// The refit says the error of the weight that it gives, and that is less than of one rounded after
// it.
TEST(RoundedRefit, LosesLessThanOneThatIsRoundedAfterwards) {
  const SiteData data = RandomSite({.tokens = 200, .in = 96, .out = 24, .bias = true, .seed = 8});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  std::vector<uint8_t> keep(96, 0);
  for (size_t g = 0; g < 96; ++g) keep[g] = g % 3 != 1;
  const Refit exact = RefitKept(site, keep, true);
  Refit rounded = RefitKept(site, keep, true, Dtype::Q4_1);
  const double error = rounded.error;
  MeasureError(site, SplitColumns(site, keep), rounded);
  EXPECT_DOUBLE_EQ(rounded.error, error);
  EXPECT_GT(error, exact.error);

  Refit after = RefitKept(site, keep, true);
  const auto values = WeightOf(after);
  std::vector<std::byte> stored(StorageBytes(Dtype::Q4_1, values.size()));
  Encode(Dtype::Q4_1, values.data(), values.size(), stored.data());
  std::vector<float> plain(values.size());
  Dequantise(Dtype::Q4_1, stored.data(), plain.size(), plain.data());
  WriteRows(after.weight, 0, 24, plain.data());
  MeasureError(site, SplitColumns(site, keep), after);
  EXPECT_LT(error - exact.error, 0.7 * (after.error - exact.error));
}

// 16 bits are left to whoever writes them.
TEST(RoundedRefit, LeavesWiderTypesAlone) {
  const SiteData data = RandomSite({.in = 32, .seed = 9});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  const std::vector<uint8_t> keep(32, 1);
  EXPECT_EQ(WeightOf(RefitKept(site, keep, false, Dtype::F16)),
            WeightOf(RefitKept(site, keep, false)));
}

TEST(RoundedRefit, RefusesWidthsThatAreNotWholeBlocks) {
  const SiteData data = RandomSite({.in = 64, .seed = 10});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  std::vector<uint8_t> keep(64, 1);
  keep[7] = 0;
  try {
    RefitKept(site, keep, false, Dtype::Q5_0);
    ADD_FAILURE() << "63 columns were taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "ERR_ARGUMENT");
    EXPECT_STREQ(error.what(), "63 columns are not whole blocks of Q5_0");
  }
}

}  // namespace
}  // namespace struprune
