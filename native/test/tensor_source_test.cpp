#include "model/tensor_source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "expect_error.h"
#include "float_tensors.h"
#include "ops/codec.h"

namespace struprune {
namespace {

// By the format's definition: (-1)^s 2^(e - 7) (1 + m / 8), of e = 0 2^-6 m / 8.
float Float8(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 3 & 15);
  const float fraction = static_cast<float>(bits & 7) / 8;
  const float size =
      exponent == 0 ? std::ldexp(fraction, -6) : std::ldexp(1 + fraction, exponent - 7);
  return bits & 128 ? -size : size;
}

TEST(TensorSourceTest, EveryFloatOf8BitsIsItsValue) {
  std::vector<std::byte> bytes;
  for (unsigned i = 0; i < 256; ++i) bytes.push_back(static_cast<std::byte>(i));
  std::vector<float> values(bytes.size());
  Dequantise(Dtype::F8_E4M3, bytes.data(), bytes.size(), values.data());
  for (unsigned i = 0; i < 256; ++i) {
    if (i % 128 == 127) {
      EXPECT_TRUE(std::isnan(values[i])) << i;
    } else {
      EXPECT_EQ(values[i], Float8(i)) << i;
      EXPECT_EQ(std::signbit(values[i]), i >= 128) << i;
    }
  }
  EXPECT_EQ(values[126], 448.0f);
}

// Two values a byte and a power of two, by the format's definition.
TEST(TensorSourceTest, FloatsOf4BitsAndPowersOfTwoAreTheirValues) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    const auto byte = static_cast<std::byte>(bits);
    float pair[2], power;
    Dequantise(Dtype::F4_E2M1, &byte, 2, pair);
    for (const unsigned half : {0u, 1u}) {
      const unsigned four = bits >> 4 * half & 15, exponent = four >> 1 & 3;
      const float fraction = static_cast<float>(four & 1) / 2;
      const float size =
          exponent == 0 ? fraction : std::ldexp(1 + fraction, static_cast<int>(exponent) - 1);
      EXPECT_EQ(pair[half], four & 8 ? -size : size) << bits;
    }
    Dequantise(Dtype::F8_E8M0, &byte, 1, &power);
    if (bits == 255) {
      EXPECT_TRUE(std::isnan(power));
    } else {
      EXPECT_EQ(power, std::ldexp(1.0f, static_cast<int>(bits) - 127)) << bits;
    }
  }
}

// Of a tensor that has two matrices, row by row in turn.
TEST(TensorSourceTest, RowsInTurnAreTheirOwn) {
  constexpr size_t kRows = 7, kCols = 10, kStep = 2, kBlockCols = 4;
  const auto values = test::RandomFloats(kStep * kRows * kCols, 1),
             scales = test::RandomFloats(kStep * kRows * 3, 2);
  const TensorSource whole = test::FloatTensor("matrix", kStep * kRows, kCols, values);
  const TensorSource factors = test::FloatTensor("scales", kStep * kRows, 3, scales);
  for (size_t first = 0; first < kStep; ++first) {
    // Stored [rows, cols], and [cols, rows].
    TensorSource rows = whole, columns = whole, scaled = whole, vector = whole;
    rows.rows = scaled.rows = kRows, rows.step = scaled.step = columns.step = vector.step = kStep;
    rows.offset = scaled.offset = whole.offset + first * kCols * sizeof(float);
    scaled.scales = BlockScales{factors.file, factors.offset, Dtype::F32, 1, kBlockCols, first};
    columns.rows = kCols / kStep, columns.cols = kStep * kRows, columns.stored_columns = kCols;
    columns.offset = vector.offset = whole.offset + first * sizeof(float);
    vector.rows = 1, vector.cols = kRows * kCols;
    const auto load = [](const TensorSource& source, size_t row) {
      std::vector<float> found((source.rows - row) * source.cols);
      LoadRows(source, row, source.rows - row, found.data());
      return found;
    };
    for (size_t row = 0; row < kRows; ++row) {
      const auto found = load(rows, row), times = load(scaled, row);
      for (size_t i = row; i < kRows; ++i) {
        for (size_t j = 0; j < kCols; ++j) {
          const size_t stored = kStep * i + first;
          const float value = values[stored * kCols + j];
          EXPECT_EQ(found[(i - row) * kCols + j], value);
          EXPECT_EQ(times[(i - row) * kCols + j], value * scales[stored * 3 + j / kBlockCols]);
        }
      }
    }
    for (size_t row = 0; row < columns.rows; ++row) {
      const auto found = load(columns, row);
      for (size_t i = row; i < columns.rows; ++i) {
        for (size_t j = 0; j < columns.cols; ++j) {
          EXPECT_EQ(found[(i - row) * columns.cols + j], values[j * kCols + kStep * i + first]);
        }
      }
    }
    const auto found = load(vector, 0);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], values[kStep * i + first]);
  }
}

// Of a tensor that has three matrices, or vectors, two rows or entries of each in turn.
TEST(TensorSourceTest, RunsOfRowsInTurnAreTheirOwn) {
  constexpr size_t kRows = 6, kCols = 4, kStep = 3, kRun = 2;
  const auto values = test::RandomFloats(kStep * kRows * kCols, 1);
  const TensorSource whole = test::FloatTensor("matrix", kStep * kRows, kCols, values);
  for (size_t first = 0; first < kStep; ++first) {
    TensorSource rows = whole, vector = whole;
    rows.rows = kRows, vector.rows = 1, vector.cols = kRows;
    rows.step = vector.step = kStep * kRun, rows.run = vector.run = kRun;
    rows.offset = whole.offset + first * kRun * kCols * sizeof(float);
    vector.offset = whole.offset + first * kRun * sizeof(float);
    const auto stored = [&](size_t row) {
      return (row / kRun * kStep + first) * kRun + row % kRun;
    };
    for (size_t row = 0; row < kRows; ++row) {
      std::vector<float> found((kRows - row) * kCols);
      LoadRows(rows, row, kRows - row, found.data());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i], values[stored(row + i / kCols) * kCols + i % kCols]);
      }
    }
    std::vector<float> found(kRows);
    LoadRows(vector, 0, 1, found.data());
    for (size_t i = 0; i < kRows; ++i) EXPECT_EQ(found[i], values[stored(i)]);
  }
}

// Rows of a matrix that begins inside of a block, whose last blocks are not whole.
TEST(TensorSourceTest, BlocksHaveTheirScales) {
  constexpr size_t kRows = 7, kCols = 10, kBlockRows = 3, kBlockCols = 4, kFirst = 2;
  const auto values = test::RandomFloats(kRows * kCols, 1), scales = test::RandomFloats(9, 2);
  TensorSource source = test::FloatTensor("matrix", kRows, kCols, values);
  const TensorSource factors = test::FloatTensor("scales", 3, 3, scales);
  source.scales =
      BlockScales{factors.file, factors.offset, Dtype::F32, kBlockRows, kBlockCols, kFirst};
  for (size_t row = 0; row < kRows; ++row) {
    std::vector<float> found((kRows - row) * kCols);
    LoadRows(source, row, kRows - row, found.data());
    for (size_t i = row; i < kRows; ++i) {
      for (size_t j = 0; j < kCols; ++j) {
        const float scale = scales[(kFirst + i) / kBlockRows * 3 + j / kBlockCols];
        EXPECT_EQ(found[(i - row) * kCols + j], values[i * kCols + j] * scale) << i << ", " << j;
      }
    }
  }
}

}  // namespace
}  // namespace struprune
