#include "ops/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "ops/half.h"

namespace struprune {
namespace {

struct Reference {
  std::vector<std::byte> stored;
  std::vector<float> values;
};

// Written by make_codec_reference.py.
std::map<std::string, Reference> LoadReferences() {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "data" / "codec_reference.bin";
  std::ifstream in(path, std::ios::binary);
  std::map<std::string, Reference> references;
  uint32_t sizes[2];
  for (uint32_t length = 0; in.read(reinterpret_cast<char*>(&length), sizeof(length));) {
    std::string name(length, ' ');
    in.read(name.data(), length);
    in.read(reinterpret_cast<char*>(sizes), sizeof(sizes));
    Reference& reference = references[name];
    reference.stored.resize(sizes[0]);
    reference.values.resize(sizes[1]);
    in.read(reinterpret_cast<char*>(reference.stored.data()), sizes[0]);
    in.read(reinterpret_cast<char*>(reference.values.data()), sizes[1] * sizeof(float));
  }
  return references;
}

std::vector<uint32_t> BitsOf(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

class DtypeTest : public testing::TestWithParam<Dtype> {};

TEST_P(DtypeTest, DequantisesBitForBitAsGgufPython) {
  const Reference reference = LoadReferences().at("dequantise/" + std::string(NameOf(GetParam())));
  ASSERT_EQ(reference.values.size(), 2048u);
  EXPECT_EQ(StorageBytes(GetParam(), 2048), reference.stored.size());
  // One byte off, as tensors of a safetensors file may lie.
  std::vector<std::byte> unaligned(reference.stored.size() + 1);
  std::memcpy(unaligned.data() + 1, reference.stored.data(), reference.stored.size());
  std::vector<float> values(2048);
  Dequantise(GetParam(), unaligned.data() + 1, values.size(), values.data());
  EXPECT_EQ(BitsOf(values), BitsOf(reference.values));
}

TEST_P(DtypeTest, NameRoundTrips) { EXPECT_EQ(DtypeFromName(NameOf(GetParam())), GetParam()); }

INSTANTIATE_TEST_SUITE_P(All, DtypeTest,
                         testing::Values(Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::Q4_0,
                                         Dtype::Q4_1, Dtype::Q5_0, Dtype::Q5_1, Dtype::Q8_0,
                                         Dtype::Q4_K, Dtype::Q5_K, Dtype::Q6_K, Dtype::MXFP4),
                         [](const auto& test) { return std::string(NameOf(test.param)); });

class BlockTest : public testing::TestWithParam<Dtype> {};

TEST_P(BlockTest, RefusesAPartOfABlock) {
  const size_t block = LayoutOf(GetParam()).elements;
  std::vector<std::byte> stored(LayoutOf(GetParam()).bytes);
  std::vector<float> values(block);
  EXPECT_THROW(Dequantise(GetParam(), stored.data(), block - 1, values.data()), Error);
}

INSTANTIATE_TEST_SUITE_P(All, BlockTest,
                         testing::Values(Dtype::Q4_0, Dtype::Q4_1, Dtype::Q5_0, Dtype::Q5_1,
                                         Dtype::Q8_0, Dtype::Q4_K, Dtype::Q5_K, Dtype::Q6_K,
                                         Dtype::MXFP4),
                         [](const auto& test) { return std::string(NameOf(test.param)); });

class EncodeTest : public testing::TestWithParam<Dtype> {};

TEST_P(EncodeTest, EncodesByteForByteAsTheOracle) {
  const Reference reference = LoadReferences().at("encode/" + std::string(NameOf(GetParam())));
  ASSERT_EQ(reference.values.size(), 2048u);
  ASSERT_EQ(StorageBytes(GetParam(), 2048), reference.stored.size());
  std::vector<std::byte> stored(reference.stored.size());
  EXPECT_EQ(Encode(GetParam(), reference.values.data(), 2048, stored.data()), 0u);
  EXPECT_EQ(stored, reference.stored);
}

TEST_P(EncodeTest, CountsValuesThatAreNotFinite) {
  std::vector<float> values(64, 0.5f);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  values[40] = -std::numeric_limits<float>::infinity();
  std::vector<std::byte> stored(StorageBytes(GetParam(), 64));
  // A block is lost as a whole.
  EXPECT_EQ(Encode(GetParam(), values.data(), 64, stored.data()),
            LayoutOf(GetParam()).elements > 1 ? 64u : 2u);
}

// A checkpoint that is read and written in its own type stays as it was. The second half of the
// values: scales of the others are subnormal halves, or zero.
TEST_P(EncodeTest, WritesAgainWhatItWrote) {
  const Reference reference = LoadReferences().at("encode/" + std::string(NameOf(GetParam())));
  const std::vector<std::byte> stored(reference.stored.begin() + reference.stored.size() / 2,
                                      reference.stored.end());
  std::vector<float> values(1024);
  Dequantise(GetParam(), stored.data(), 1024, values.data());
  std::vector<std::byte> again(stored.size());
  EXPECT_EQ(Encode(GetParam(), values.data(), 1024, again.data()), 0u);
  EXPECT_EQ(again, stored);
}

INSTANTIATE_TEST_SUITE_P(All, EncodeTest,
                         testing::Values(Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::Q8_0,
                                         Dtype::Q4_0, Dtype::Q4_1, Dtype::Q5_0, Dtype::Q5_1,
                                         Dtype::MXFP4),
                         [](const auto& test) { return std::string(NameOf(test.param)); });

// A folder has two tensors for what a GGUF file has as blocks.
TEST(PartsOfMXFP4, HaveTheirValuesAndPowersApart) {
  const Reference reference = LoadReferences().at("encode/MXFP4");
  std::vector<std::byte> codes(1024), powers(64);
  PartOfMXFP4(Dtype::F4_E2M1, reference.stored, codes.data());
  PartOfMXFP4(Dtype::F8_E8M0, reference.stored, powers.data());
  std::vector<float> whole(2048), values(2048), scales(64);
  Dequantise(Dtype::MXFP4, reference.stored.data(), 2048, whole.data());
  Dequantise(Dtype::F4_E2M1, codes.data(), 2048, values.data());
  Dequantise(Dtype::F8_E8M0, powers.data(), 64, scales.data());
  for (size_t i = 0; i < 2048; ++i) values[i] *= scales[i / 32];
  EXPECT_EQ(BitsOf(values), BitsOf(whole));
}

TEST(EncodeLimits, HalfOverflowIsCountedFromTheFirstValueThatRoundsUp) {
  const float values[] = {65504.0f, 65519.99f, 65520.0f, -1e30f};
  std::byte stored[8];
  EXPECT_EQ(Encode(Dtype::F16, values, 4, stored), 2u);
  float back[4];
  Dequantise(Dtype::F16, stored, 4, back);
  EXPECT_EQ(back[1], 65504.0f);
  EXPECT_TRUE(std::isinf(back[2]));
}

TEST(EncodeLimits, Bfloat16OverflowIsCounted) {
  const float values[] = {std::numeric_limits<float>::max(), 3.3e38f};
  std::byte stored[4];
  EXPECT_EQ(Encode(Dtype::BF16, values, 2, stored), 1u);
}

TEST(EncodeLimits, OverflowOfAScaleOrMinimumIsCounted) {
  const auto broken = [](Dtype dtype, float first, float rest) {
    std::vector<float> values(32, rest);
    values[0] = first;
    std::byte stored[34];
    return Encode(dtype, values.data(), 32, stored);
  };
  for (const Dtype dtype : {Dtype::Q8_0, Dtype::Q4_0, Dtype::Q5_0, Dtype::Q4_1, Dtype::Q5_1}) {
    EXPECT_EQ(broken(dtype, 1e7f, 0), 32u) << NameOf(dtype);
    EXPECT_EQ(broken(dtype, 6e4f, 0), 0u) << NameOf(dtype);
  }
  EXPECT_EQ(broken(Dtype::Q4_1, 7e4f, 7e4f), 32u);
  // The halves of a scale reach further than those of a minimum.
  EXPECT_EQ(broken(Dtype::Q4_0, 5e5f, 0), 0u);
}

TEST(EncodeLimits, RefusesTypesThatAreOnlyRead) {
  std::vector<float> values(256);
  std::byte stored[144];
  EXPECT_FALSE(CanEncode(Dtype::Q4_K));
  EXPECT_THROW(Encode(Dtype::Q4_K, values.data(), 256, stored), Error);
}

#if defined(__FLT16_MAX__)
// The compiler's own half type is the oracle for every half and for the edges between two halves.
TEST(Half, AgreesWithTheCompilersHalfEverywhere) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const auto expected = static_cast<float>(std::bit_cast<_Float16>(half));
    const float value = HalfToFloat(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value)))) << bits;
      continue;
    }
    ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected)) << bits;
    ASSERT_EQ(FloatToHalf(value), half) << bits;
    if (std::isinf(value)) continue;
    const uint32_t float_bits = std::bit_cast<uint32_t>(value);
    for (const uint32_t step : {0xfffu, 0x1000u, 0x1001u, 1u}) {
      const float between = std::bit_cast<float>(float_bits + step);
      ASSERT_EQ(FloatToHalf(between), std::bit_cast<uint16_t>(static_cast<_Float16>(between)))
          << float_bits + step;
    }
  }
}
#endif

}  // namespace
}  // namespace struprune
