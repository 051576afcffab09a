// Tiled products, factors and solves against the BLAS and LAPACK on whole matrices, with tiles so
// small that short ones, mirrored ones and evictions all occur; and the same bits at every limit.
#include <gtest/gtest.h>

#include <cmath>

#include "expect_error.h"
#include "ops/cholesky.h"
#include "ops/gemm.h"
#include "tile_support.h"
#include "tiles/cholesky.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"
#include "tiles/reduce.h"
#include "tiles/run_tiles.h"

namespace struprune {
namespace {

using test::Dense;
using test::MakeSpace;
using test::RandomDense;
using test::RandomPositive;
using test::ToDense;
using test::ToTiles;

constexpr size_t kThreads = 2;
// Three pinned tiles a worker.
constexpr size_t kFewest = 3 * kThreads;

void ExpectNear(const Dense& a, const Dense& b, double tolerance) {
  ASSERT_EQ(a.values.size(), b.values.size());
  double scale = 0;
  for (const double value : b.values) scale = std::max(scale, std::abs(value));
  for (size_t i = 0; i < a.values.size(); ++i) {
    ASSERT_NEAR(a.values[i], b.values[i], tolerance * scale) << "element " << i;
  }
}

// The lower triangle, with zeros above.
Dense Lower(Dense a) {
  for (size_t r = 0; r < a.rows; ++r) {
    for (size_t c = r + 1; c < a.cols; ++c) a.at(r, c) = 0;
  }
  return a;
}

Dense Product(const Dense& a, Trans ta, const Dense& b, Trans tb) {
  const bool at = ta == Trans::kYes, bt = tb == Trans::kYes;
  Dense c{at ? a.cols : a.rows, bt ? b.rows : b.cols, {}};
  c.values.resize(c.rows * c.cols);
  Gemm(ta, tb, c.rows, c.cols, at ? a.rows : a.cols, 1.0, a.values.data(), a.cols, b.values.data(),
       b.cols, 0.0, c.values.data(), c.cols);
  return c;
}

TEST(TileAxis, CutsEvenly) {
  const auto sides = [](size_t size, size_t longest) {
    const TileAxis axis(size, longest);
    std::vector<size_t> counts;
    for (size_t t = 0; t < axis.tiles(); ++t) counts.push_back(axis.count(t));
    return counts;
  };
  EXPECT_EQ(sides(1536, 256), std::vector<size_t>(6, 256));
  EXPECT_EQ(sides(576, 256), std::vector<size_t>(3, 192));
  EXPECT_EQ(sides(1229, 256), (std::vector<size_t>{248, 248, 248, 248, 237}));
  EXPECT_EQ(sides(7, 256), std::vector<size_t>{7});
  EXPECT_EQ(sides(7, 3), (std::vector<size_t>{3, 3, 1}));
  EXPECT_EQ(sides(257, 256), (std::vector<size_t>{136, 121}));
  EXPECT_TRUE(sides(0, 256).empty());
}

struct Size {
  const char* name;
  size_t n, side, resident;
};
class Tiles : public testing::TestWithParam<Size> {
 protected:
  size_t n() const { return GetParam().n; }
  TileSpace space() const { return MakeSpace(GetParam().side, GetParam().resident, kThreads); }
};

TEST_P(Tiles, ProductsOfEveryShape) {
  const TileSpace where = space();
  const size_t m = n() + 5;
  const Dense a = RandomDense(m, n(), 1), b = RandomDense(n(), m, 2), s = RandomPositive(n(), 3);
  const Dense l = Lower(RandomDense(n(), n(), 4));
  const auto ta = ToTiles(where, a), tb = ToTiles(where, b);
  const auto ts = ToTiles(where, s, Shape::kSymmetric), tl = ToTiles(where, l, Shape::kLower);
  const auto check = [&](Factor x, Trans tx, const Dense& dx, Factor y, const Dense& dy) {
    const Dense expected = Product(dx, tx, dy, y.trans);
    TileMatrix<double> c(where, expected.rows, expected.cols);
    Multiply(1, x, y, 0, c);
    ExpectNear(ToDense(c), expected, 1e-13);
    Multiply(-2, x, y, 1, c);
    Dense negative = expected;
    for (double& value : negative.values) value = -value;
    ExpectNear(ToDense(c), negative, 1e-13);
  };
  check({ta}, Trans::kNo, a, {tb}, b);
  check({ta, Trans::kYes}, Trans::kYes, a, {tb, Trans::kYes}, b);
  check({ta}, Trans::kNo, a, {ts}, s);
  check({ts}, Trans::kNo, s, {tb}, b);
  check({ts, Trans::kYes}, Trans::kYes, s, {ta, Trans::kYes}, a);
  check({ta}, Trans::kNo, a, {tl}, l);
  check({ta}, Trans::kNo, a, {tl, Trans::kYes}, l);
  check({tl, Trans::kYes}, Trans::kYes, l, {tl}, l);
  check({tl}, Trans::kNo, l, {tb}, b);

  TileMatrix<double> c(where, n(), n(), Shape::kSymmetric);
  Multiply(1, {ta, Trans::kYes}, {ta}, 0, c);
  ExpectNear(ToDense(c), Product(a, Trans::kYes, a, Trans::kNo), 1e-13);
}

// tr(G A S Aᵀ) = Σ (G A) ∘ (A S), of which the products with S may take its lower tiles alone.
TEST_P(Tiles, FoldedProductsHaveTheSameTrace) {
  const TileSpace where = space();
  const size_t m = n() + 5;
  const Dense a = RandomDense(m, n(), 1), s = RandomPositive(n(), 3), g = RandomPositive(m, 4);
  const auto ta = ToTiles(where, a), ts = ToTiles(where, s, Shape::kSymmetric);
  TileMatrix<double> c(where, m, n());
  Multiply(1, {ta}, {.matrix = ts, .folded = true}, 0, c);
  const Dense whole = Product(a, Trans::kNo, s, Trans::kNo),
              ga = Product(g, Trans::kNo, a, Trans::kNo);
  double wanted = 0;
  for (size_t i = 0; i < whole.values.size(); ++i) wanted += whole.values[i] * ga.values[i];
  EXPECT_NEAR(Dot(ToTiles(where, ga), c), wanted, 1e-12 * std::abs(wanted));
  for (const Factor& wrong : {Factor{ta, Trans::kNo, true}, Factor{ts, Trans::kYes, true}}) {
    test::ExpectError([&] { Multiply(1, {ta}, wrong, 0, c); }, "ERR_INTERNAL", "folded");
  }
}

TEST_P(Tiles, CholeskyIsLapacks) {
  const TileSpace where = space();
  const Dense a = RandomPositive(n(), 5), x = RandomDense(n() + 3, n(), 6);
  auto factor = ToTiles(where, a, Shape::kSymmetric);
  ASSERT_TRUE(FactorCholesky(factor));
  Dense expected = a;
  ASSERT_TRUE(Cholesky(n(), expected.values.data(), n()));
  ExpectNear(ToDense(factor), Lower(expected), 1e-12);

  auto solved = ToTiles(where, x);
  SolveForward(factor, solved);
  SolveBackward(factor, solved);
  Dense rows = x;
  CholeskySolveRows(n(), expected.values.data(), n(), x.rows, rows.values.data(), n());
  ExpectNear(ToDense(solved), rows, 1e-11);
  ExpectNear(Product(rows, Trans::kNo, a, Trans::kNo), x, 1e-10);

  CholeskyInverse(n(), expected.values.data(), n());
  ExpectNear(ToDense(InvertFactored(factor)), expected, 1e-11);
}

TEST_P(Tiles, GathersRowsAndColumnsInAnyOrder) {
  const TileSpace where = space();
  const Dense a = RandomDense(n() + 2, n(), 7), s = RandomPositive(n(), 8);
  const std::vector<int32_t> rows{3, 0, static_cast<int32_t>(n()) - 1, 1, 5, 2},
      columns{4, 1, 6, 0, static_cast<int32_t>(n()) - 1};
  const auto check = [&](const auto& from, const Dense& dense) {
    TileMatrix<double> to(where, rows.size(), columns.size());
    Gather(from, rows, columns, to);
    const Dense got = ToDense(to);
    for (size_t r = 0; r < rows.size(); ++r) {
      for (size_t c = 0; c < columns.size(); ++c) {
        EXPECT_EQ(got.at(r, c), dense.at(rows[r], columns[c]));
      }
    }
  };
  check(ToTiles(where, a), a);
  check(ToTiles(where, s, Shape::kSymmetric), s);
  Dense floats = a;
  for (double& value : floats.values) value = static_cast<float>(value);
  check(ToTiles<float>(where, a), floats);
}

TEST_P(Tiles, SumsAndDiagonals) {
  const TileSpace where = space();
  const Dense a = RandomDense(n() + 2, n(), 9), b = RandomDense(n() + 2, n(), 10),
              s = RandomPositive(n(), 11);
  const auto ta = ToTiles(where, a), tb = ToTiles(where, b);
  const auto ts = ToTiles(where, s, Shape::kSymmetric);
  double dot = 0;
  std::vector<double> columns(n()), by_row(a.rows), by_symmetric(n()), v(n());
  for (size_t c = 0; c < n(); ++c) v[c] = std::sin(static_cast<double>(c));
  for (size_t r = 0; r < a.rows; ++r) {
    for (size_t c = 0; c < n(); ++c) {
      dot += a.at(r, c) * b.at(r, c);
      columns[c] += a.at(r, c) * b.at(r, c);
      by_row[r] += a.at(r, c) * v[c];
    }
  }
  for (size_t r = 0; r < n(); ++r) {
    for (size_t c = 0; c < n(); ++c) by_symmetric[r] += s.at(r, c) * v[c];
  }
  EXPECT_NEAR(Dot(ta, tb), dot, 1e-12 * (1 + std::abs(dot)));
  const auto got = ColumnDots(ta, tb), rows = TimesVector(ta, v), symmetric = TimesVector(ts, v);
  for (size_t c = 0; c < n(); ++c) {
    EXPECT_NEAR(got[c], columns[c], 1e-12 * static_cast<double>(n()));
    EXPECT_NEAR(symmetric[c], by_symmetric[c], 1e-11 * static_cast<double>(n()));
  }
  for (size_t r = 0; r < a.rows; ++r) EXPECT_NEAR(rows[r], by_row[r], 1e-12 * n());
  const auto diagonal = Diagonal(ts);
  for (size_t r = 0; r < n(); ++r) EXPECT_EQ(diagonal[r], s.at(r, r));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Tiles,
                         testing::Values(Size{"one_tile", 9, 16, 0}, Size{"exact", 12, 4, 0},
                                         Size{"short_last", 13, 4, 0},
                                         Size{"evictions", 23, 3, kFewest},
                                         Size{"strips", 300, 128, kFewest}),
                         [](const auto& info) { return info.param.name; });

TEST(TileMatrix, AFailingPivotIsReported) {
  Dense a = RandomPositive(11, 12);
  a.at(8, 8) = -1;
  auto tiled = ToTiles(MakeSpace(4, 0), a, Shape::kSymmetric);
  EXPECT_FALSE(FactorCholesky(tiled));
}

TEST(TileMatrix, ElementsThatAreNotFiniteAreFound) {
  Dense a = RandomDense(7, 5, 13);
  EXPECT_NO_THROW(CheckFinite(ToTiles(MakeSpace(3, 0), a), "it"));
  a.at(6, 4) = std::numeric_limits<double>::infinity();
  test::ExpectError([&] { CheckFinite(ToTiles(MakeSpace(3, 0), a), "the Gram matrix"); }, "ERR_NAN",
                    "the Gram matrix");
}

TEST(TileMatrix, EmptyOnesAreFactorsToo) {
  const TileSpace where = MakeSpace(4, 0);
  const TileMatrix<double> a(where, 5, 0), b(where, 0, 6);
  TileMatrix<double> c = ToTiles(where, RandomDense(5, 6, 14));
  const Dense before = ToDense(c);
  Multiply(1, {a}, {b}, 1, c);
  EXPECT_EQ(ToDense(c).values, before.values);
  Multiply(1, {a}, {b}, 0, c);
  EXPECT_EQ(ToDense(c).values, std::vector<double>(30, 0.0));
}

// Whatever is in memory, whoever does it.
// More visits than are announced at a time: the step goes on where the first part ended.
TEST(TileMatrix, AStepLongerThanTheHorizon) {
  constexpr size_t n = 44, resident = 300;
  static_assert(n * n * n > kHorizon && resident < n * n);
  const TileSpace space = MakeSpace(1, resident, kThreads);
  const Dense a = RandomDense(n, n, 21), b = RandomDense(n, n, 22);
  auto c = ToTiles(space, Dense{n, n, std::vector<double>(n * n)});
  Multiply(1, {ToTiles(space, a)}, {ToTiles(space, b)}, 0, c);
  ExpectNear(ToDense(c), Product(a, Trans::kNo, b, Trans::kNo), 1e-14);
}

TEST(TileMatrix, SameBitsAtEveryLimitAndThreadCount) {
  const Dense a = RandomPositive(40, 15), x = RandomDense(17, 40, 16);
  const auto run = [&](size_t resident, size_t threads) {
    const TileSpace where = MakeSpace(8, resident, threads);
    auto factor = ToTiles(where, a, Shape::kSymmetric);
    EXPECT_TRUE(FactorCholesky(factor));
    auto solved = ToTiles(where, x);
    SolveForward(factor, solved);
    SolveBackward(factor, solved);
    auto bits = ToDense(solved).values;
    const auto inverse = ToDense(InvertFactored(factor)).values;
    bits.insert(bits.end(), inverse.begin(), inverse.end());
    EXPECT_EQ(where.store->traffic().evictions > 0, resident != 0);
    return bits;
  };
  const auto all = run(0, 1);
  EXPECT_EQ(run(kFewest, 2), all);
  EXPECT_EQ(run(10, 2), all);
  EXPECT_EQ(run(9, 3), all);
}

}  // namespace
}  // namespace struprune
