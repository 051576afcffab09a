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
