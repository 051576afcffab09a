#include "core/segments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "float_tensors.h"
#include "ops/blas.h"
#include "tiles/statistics.h"

namespace struprune {
namespace {

// A sum that says how it came about.
struct Written {
  std::string text;
  void operator+=(const Written& other) { text = "(" + text + "+" + other.text + ")"; }
};

std::string TreeOf(const std::vector<size_t>& segments) {
  SegmentSums<Written> sums;
  for (const size_t segment : segments) sums.At(segment).text = std::to_string(segment);
  return sums.Total().text;
}

std::vector<size_t> FirstOf(size_t count) {
  std::vector<size_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(SegmentsTest, WholePagesAsEvenlyAsTheyGo) {
  const Segments few(50, 10), many(331, 10);
  EXPECT_EQ(few.count(), 5u);
  EXPECT_EQ(many.count(), 16u);
  std::vector<size_t> pages(16);
  for (size_t row = 0; row < 331; row += 10) {
    EXPECT_EQ(many.At(row), many.At(std::min<size_t>(330, row + 9)));
    ++pages[many.At(row)];
  }
  for (const size_t each : pages) EXPECT_TRUE(each == 2 || each == 3) << each;
  EXPECT_EQ(Segments(0, 0).count(), 1u);
}

TEST(SegmentsTest, EachIsAddedToThoseBefore) {
  EXPECT_EQ(TreeOf({0}), "0");
  EXPECT_EQ(TreeOf(FirstOf(4)), "(((0+1)+2)+3)");
  // Where some have no rows the others keep their places.
  EXPECT_EQ(TreeOf({1, 6, 7, 13}), "(((1+6)+7)+13)");
}

TEST(SegmentsTest, TwoSumsAreThereAtATime) {
  EXPECT_EQ(MostSums(Segments(1, 10)), 1u);
  EXPECT_EQ(MostSums(Segments(1000, 10)), 2u);
}

// The rule once more, from the segments' bounds: pages [⌈16⁻¹ s P⌉, ⌈16⁻¹ (s + 1) P⌉).
TEST(SegmentsTest, ValuesOfTokens) {
  constexpr size_t kPages = 37, kPage = 5;
  size_t unlike_all = 0, unlike_back = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> values(kPages * kPage - 2);
    for (double& value : values) value = normal(random);
    const auto segment = [&](size_t s) {
      double sum = 0;
      const size_t end = std::min(values.size(), ((s + 1) * kPages + 15) / 16 * kPage);
      for (size_t row = (s * kPages + 15) / 16 * kPage; row < end; ++row) sum += values[row];
      return sum;
    };
    const double sum = SumOfTokens(values, kPage);
    double forth = 0, back = 0;
    for (size_t s = 0; s < 16; ++s) forth += segment(s), back += segment(15 - s);
    EXPECT_EQ(sum, forth);
    unlike_all += sum != std::accumulate(values.begin(), values.end(), 0.0);
    unlike_back += sum != back;
    values.push_back(std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(SumOfTokens(values, kPage), sum);
  }
  EXPECT_GT(unlike_all, 0u) << "not in segments";
  EXPECT_GT(unlike_back, 0u) << "joined in another order";
}

TEST(SegmentsTest, OfOneAdditionEachAreOne) {
  std::vector<double> values(16);
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  for (double& value : values) value = normal(random);
  EXPECT_TRUE(Segments(16, 1).AreSinglePages());
  EXPECT_EQ(SumOfTokens(values, 1), SumOfTokens(values, 16));
  EXPECT_FALSE(Segments(17, 1).AreSinglePages());
}

constexpr size_t kDim = 40, kResidual = 9, kPage = 30, kRows = 16 * kPage + 11;

struct Matrices {
  std::vector<double> gram, cross, moments;
  bool operator==(const Matrices&) const = default;
};

std::vector<double> TilesIn(const TileMatrix<double>& matrix) {
  std::vector<double> values;
  for (size_t i = 0; i < matrix.rows().tiles(); ++i) {
    for (size_t j = 0; j < matrix.cols().tiles() && matrix.Has(i, j); ++j) {
      const auto tile = matrix.Read(i, j);
      for (size_t r = 0; r < tile.rows; ++r) {
        values.insert(values.end(), tile.row(r), tile.row(r) + tile.cols);
      }
    }
  }
  return values;
}

// Sums of pages of the segments, by the threads and with the tiles at hand alone in memory.
Matrices Summed(size_t threads, size_t limit, const std::vector<size_t>& order) {
  InitialiseBlas();
  const auto context = std::make_shared<Context>(threads, 0);
  const auto store = std::make_shared<PageStore>(context, limit, testing::TempDir());
  Statistics sums({context, store, 16}, kDim, true, kResidual);
  auto x = test::RandomFloats(kRows * kDim, 1);
  const auto r = test::RandomFloats(kRows * kResidual, 2);
  // Doubles hold sums of floats of one size without rounding.
  for (size_t i = 0; i < x.size(); ++i) x[i] *= std::pow(100.0f, i / (kPage * kDim) % 5);
  const Segments segments(kRows, kPage);
  for (size_t page = 0; page * kPage < kRows; ++page) {
    const size_t row = page * kPage, rows = std::min(kPage, kRows - row);
    sums.Add(order[segments.At(row)], rows, x.data() + row * kDim, r.data() + row * kResidual);
  }
  Matrices all{TilesIn(*sums.gram()), TilesIn(*sums.cross()), {}};
  all.moments.assign(sums.squares(), sums.squares() + kDim);
  all.moments.insert(all.moments.end(), sums.sums(), sums.sums() + kDim);
  all.moments.push_back(sums.residual_energy());
  return all;
}

TEST(SegmentsTest, OfStatisticsOnAnyThreadsAndInAnyMemory) {
  const std::vector<size_t> own = FirstOf(16);
  const Matrices wanted = Summed(1, 0, own);
  for (const size_t threads : {1, 2, 3, 4}) {
    EXPECT_EQ(Summed(threads, 0, own), wanted) << threads;
    EXPECT_EQ(Summed(threads, 16 * 16 * sizeof(double) * 4 * threads, own), wanted) << threads;
  }
  std::vector<size_t> moved = own;
  for (size_t& segment : moved) segment /= 2;
  EXPECT_NE(Summed(1, 0, moved).gram, wanted.gram) << "half as many segments";
}

}  // namespace
}  // namespace struprune
