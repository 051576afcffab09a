#include "ops/gemm_path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/os/cpu_features.h"
#include "ops/gemm.h"

namespace struprune {
namespace {

constexpr GemmPath kAll[] = {GemmPath::kCblasF32,   GemmPath::kAmxF32,     GemmPath::kOneDnnF32,
                             GemmPath::kOneDnnBf16, GemmPath::kAvx512Bf16, GemmPath::kAmxBf16,
                             GemmPath::kAmxBf16x3};

bool IsAvailable(GemmPath path) {
  const auto paths = AvailableGemmPaths();
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

std::vector<float> Random(size_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(engine);
  return values;
}

struct Shape {
  size_t m, n, k;
};

class GemmPathTest : public testing::TestWithParam<std::tuple<GemmPath, bool, bool, Shape>> {
 protected:
  void SetUp() override {
    InitialiseBlas();
    SetGemmPath(std::get<0>(GetParam()));
  }
  void TearDown() override { SetGemmPath(BestGemmPath(false)); }
};

// Against sums of doubles, with row strides wider than the rows; what lies between the rows must
// stay.
TEST_P(GemmPathTest, EqualsSumsOfDoubles) {
  const auto [path, ta, tb, shape] = GetParam();
  const auto [m, n, k] = shape;
  const size_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 5, ldc = n + 2;
  const auto a = Random((ta ? k : m) * lda, 1), b = Random((tb ? n : k) * ldb, 2);
  const auto before = Random(m * ldc, 3);
  // Rounding of operands to 8 bits or to 16, or of k sums to 24; relative to the sum of magnitudes.
  const double unit = IsBf16(path)                   ? 0x1p-8
                      : path == GemmPath::kAmxBf16x3 ? 0x1p-15
                                                     : 0x1p-23 * std::sqrt(double(k) + 4);

  for (const auto& [alpha, beta] : {std::pair{1.0f, 0.0f}, std::pair{0.5f, -2.0f}}) {
    auto c = before;
    Gemm(Trans(ta), Trans(tb), m, n, k, alpha, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < ldc; ++j) {
        const float old = before[i * ldc + j];
        if (j >= n) {
          ASSERT_EQ(c[i * ldc + j], old) << "padding of row " << i;
          continue;
        }
        double sum = 0, size = 0;
        for (size_t l = 0; l < k; ++l) {
          const double x = a[ta ? l * lda + i : i * lda + l], y = b[tb ? j * ldb + l : l * ldb + j];
          sum += x * y;
          size += std::abs(x * y);
        }
        const double expected = alpha * sum + beta * old;
        const double tolerance = unit * (std::abs(alpha) * size + std::abs(beta * old));
        ASSERT_NEAR(c[i * ldc + j], expected, tolerance) << "row " << i << ", column " << j;
      }
    }
  }
}

std::string TestName(const testing::TestParamInfo<GemmPathTest::ParamType>& info) {
  const auto& [path, ta, tb, shape] = info.param;
  std::string name(NameOf(path));
  std::replace(name.begin(), name.end(), '-', '_');
  return name + (ta ? "_At" : "_A") + (tb ? "Bt_" : "B_") + std::to_string(shape.m) + "x" +
         std::to_string(shape.n) + "x" + std::to_string(shape.k);
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmPathTest,
                         testing::Combine(testing::ValuesIn(AvailableGemmPaths()), testing::Bool(),
                                          testing::Bool(),
                                          testing::Values(Shape{1, 1, 1}, Shape{5, 7, 3},
                                                          Shape{33, 65, 129}, Shape{128, 96, 576},
                                                          Shape{290, 17, 800}, Shape{17, 9, 2000})),
                         TestName);

// How rows are shared out and weights cut depends on the memory at hand; no result may.
TEST(GemmPaths, PackedOperandsGiveAnElementTheSameBitsInEveryShape) {
  if (PartsOf(AvailableGemmPaths().back()) == 0) GTEST_SKIP() << "needs AMX or AVX512_BF16";
  constexpr size_t m = 300, n = 70, k = 850;
  const auto a = Random(m * k, 1), b = Random(k * n, 2);
  for (const GemmPath path : AvailableGemmPaths()) {
    if (PartsOf(path) == 0) continue;
    SetGemmPath(path);
    std::vector<float> whole(m * n), part(m * n);
    const auto product = [&](size_t row, size_t rows, size_t col, size_t cols, float* c) {
      Gemm(Trans::kNo, Trans::kNo, rows, cols, k, 1.0f, a.data() + row * k, k, b.data() + col, n,
           0.0f, c + row * n + col, n);
    };
    product(0, m, 0, n, whole.data());
    for (const auto& [row, rows] : {std::pair{0, 1}, std::pair{1, 37}, std::pair{38, 262}}) {
      product(row, rows, 0, 33, part.data());
      product(row, rows, 33, n - 33, part.data());
    }
    EXPECT_EQ(whole, part) << NameOf(path);
  }
  SetGemmPath(BestGemmPath(false));
}

// Three parts of 8 bits are all of a float's, so what is left out lies below its last bit.
TEST(GemmPaths, TilesAreAsExactAsFloats) {
  if (!IsAvailable(GemmPath::kAmxF32)) GTEST_SKIP() << "needs AMX";
  const float a[] = {1.0f + 0x1p-23f, -3.1415927f, 0x1.fefffep127f, 0x1.fffffep-100f};
  const float b[] = {1.0f, 0x1p-1f, 0x1p-64f, -0x1p90f};
  SetGemmPath(GemmPath::kAmxF32);
  for (size_t i = 0; i < 4; ++i) {
    float c = 0;
    Gemm(Trans::kNo, Trans::kYes, 1, 1, 1, 1.0f, a + i, 1, b + i, 1, 0.0f, &c, 1);
    EXPECT_EQ(c, a[i] * b[i]) << i;
  }
  SetGemmPath(BestGemmPath(false));
}

// The figures of docs/decisions/0008-amx-products.md and 0009-calibration-in-bf16x3.md.
TEST(GemmPaths, TilesErrAsTheDocsSay) {
  if (!IsAvailable(GemmPath::kAmxF32)) GTEST_SKIP() << "needs AMX";
  constexpr size_t m = 128, n = 128, k = 576;
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> a(m * k), b(n * k), c(m * n);
  for (float& value : a) value = normal(engine);
  for (float& value : b) value = normal(engine);
  for (const auto& [tiles, documented] :
       {std::pair{GemmPath::kAmxF32, 1.9e-7}, std::pair{GemmPath::kAmxBf16x3, 4.5e-6}}) {
    const ScopedGemmPath path(tiles);
    Gemm(Trans::kNo, Trans::kYes, m, n, k, 1.0f, a.data(), k, b.data(), k, 0.0f, c.data(), n);
    double error = 0, size = 0;
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double sum = 0;
        for (size_t l = 0; l < k; ++l) sum += static_cast<double>(a[i * k + l]) * b[j * k + l];
        error += (c[i * n + j] - sum) * (c[i * n + j] - sum);
        size += sum * sum;
      }
    }
    EXPECT_NEAR(std::sqrt(error / size), documented, documented / 20) << NameOf(tiles);
  }
}

TEST(GemmPaths, WhatIsNotFiniteStaysSo) {
  InitialiseBlas();
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  for (const GemmPath path : AvailableGemmPaths()) {
    SetGemmPath(path);
    for (const float bad : {std::nanf(""), std::bit_cast<float>(0x7fffffffu), kInfinite}) {
      const float a[] = {1.0f, bad, 2.0f, 3.0f}, b[] = {1.0f, 1.0f};
      float c[2] = {};
      Gemm(Trans::kNo, Trans::kYes, 2, 1, 2, 1.0f, a, 2, b, 2, 0.0f, c, 1);
      EXPECT_FALSE(std::isfinite(c[0])) << NameOf(path) << " of " << bad;
      EXPECT_EQ(c[1], 5.0f) << NameOf(path);
    }
  }
  SetGemmPath(BestGemmPath(false));
}

TEST(GemmPaths, NothingToSumScalesTheResult) {
  InitialiseBlas();
  float c[2] = {3.0f, -4.0f};
  Gemm(Trans::kNo, Trans::kNo, 1, 2, 0, 1.0f, nullptr, 1, nullptr, 2, 0.5f, c, 2);
  EXPECT_EQ(c[0], 1.5f);
  EXPECT_EQ(c[1], -2.0f);
}

TEST(GemmPaths, Bf16OnlyWhereTheHardwareHasItAndTheUserAllowsIt) {
  EXPECT_FALSE(IsBf16(BestGemmPath(false)));
  EXPECT_EQ(CurrentGemmPath(), BestGemmPath(false));
  EXPECT_TRUE(IsAvailable(BestGemmPath(true)));
  EXPECT_EQ(IsBf16(BestGemmPath(true)), IsBf16(AvailableGemmPaths().back()));
  for (const GemmPath path : AvailableGemmPaths()) {
    EXPECT_TRUE(PartsOf(path) == 0 || path == GemmPath::kAvx512Bf16 || os::HostCpu().amx_bf16)
        << NameOf(path);
    EXPECT_TRUE(!IsBf16(path) || os::HostCpu().avx512_bf16 || os::HostCpu().amx_bf16)
        << NameOf(path);
  }
}

TEST(GemmPaths, EveryJobHasItsOwnOnAllItsThreads) {
  const GemmPath before = CurrentGemmPath();
  for (GemmPath path : AvailableGemmPaths()) {
    const auto expected_for = [path](Purpose purpose) {
      return purpose == Purpose::kMeasuring ? GemmPath::kCblasF32 : path;
    };
    Context context(4, 0, [&](Purpose purpose) { SetGemmPath(expected_for(purpose)); });
    for (const Purpose purpose :
         {Purpose::kCalibrating, Purpose::kMeasuring, Purpose::kSearching}) {
      context.BeginJob(purpose);
      const GemmPath expected = expected_for(purpose);
      std::atomic<size_t> others{0};
      for (int step = 0; step < 2; ++step) {
        context.pool.ParallelFor(64,
                                 [&](size_t, size_t) { others += CurrentGemmPath() != expected; });
      }
      EXPECT_EQ(others, 0u) << NameOf(expected);
    }
  }
  SetGemmPath(before);
}

TEST(GemmPaths, OnlyCalibrationTakesTwoPartsAndOnlySearchesOne) {
  for (const AllowedPrecision precision :
       {AllowedPrecision::kF32, AllowedPrecision::kBf16x3, AllowedPrecision::kBf16}) {
    const GemmPath own = PathFor(precision, Purpose::kMeasuring);
    EXPECT_EQ(own, BestGemmPath(precision == AllowedPrecision::kBf16));
    const auto rounded = [&](std::initializer_list<GemmPath> paths) {
      const auto path = std::ranges::find_if(paths, IsAvailable);
      return precision == AllowedPrecision::kBf16x3 && path != paths.end() ? *path : own;
    };
    EXPECT_EQ(PathFor(precision, Purpose::kCalibrating), rounded({GemmPath::kAmxBf16x3}));
    EXPECT_EQ(PathFor(precision, Purpose::kSearching),
              rounded({GemmPath::kAmxBf16, GemmPath::kAvx512Bf16}));
  }
}

TEST(GemmPaths, APathThatIsNotThereIsRefused) {
  for (GemmPath path : kAll) {
    if (IsAvailable(path)) continue;
    try {
      SetGemmPath(path);
      FAIL() << NameOf(path) << " must be refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "ERR_UNSUPPORTED");
      EXPECT_FALSE(error.mend().empty());
    }
  }
  EXPECT_TRUE(IsAvailable(CurrentGemmPath()));
}

}  // namespace
}  // namespace struprune
