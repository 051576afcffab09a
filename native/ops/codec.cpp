#include "ops/codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "core/error.h"
#include "core/simd.h"
#include "ops/half.h"

namespace struprune {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kBlock = 32;
constexpr size_t kSuper = 256;

template <typename T>
STRUPRUNE_INLINE T Load(const uint8_t* src) {
  T value;
  std::memcpy(&value, src, sizeof(T));
  return value;
}

STRUPRUNE_INLINE float LoadHalf(const uint8_t* src) { return HalfToFloat(Load<uint16_t>(src)); }

void DequantiseF32(const uint8_t* src, size_t elements, float* dst) {
  std::memcpy(dst, src, elements * sizeof(float));
}

STRUPRUNE_CLONES void DequantiseF16(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; ++i) dst[i] = LoadHalf(src + 2 * i);
}

STRUPRUNE_CLONES void DequantiseBF16(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; ++i) dst[i] = Bfloat16ToFloat(Load<uint16_t>(src + 2 * i));
}

// OCP's E4M3 (OFP8 1.0): no infinities, and one NaN for each sign.
STRUPRUNE_CLONES void DequantiseF8_E4M3(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; ++i) {
    const uint32_t magnitude = src[i] & 0x7f;
    const float subnormal = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-9f;
    constexpr uint32_t kRebias = (127 - 7) << 23;
    const uint32_t normal = ((magnitude << 20) + kRebias) | (magnitude == 0x7f ? 0x7f800000 : 0);
    const uint32_t bits = Choose(magnitude < 8, std::bit_cast<uint32_t>(subnormal), normal);
    dst[i] = std::bit_cast<float>(bits | static_cast<uint32_t>(src[i] & 0x80) << 24);
  }
}

// OCP's E2M1 (MX 1.0), twice what each is.
constexpr int8_t kHalvesOfFour[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Two a byte, the low half first.
STRUPRUNE_CLONES void DequantiseF4_E2M1(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; ++i) {
    const int bits = src[i / 2] >> (i % 2 * 4) & 15;
    dst[i] = 0.5f * static_cast<float>(kHalvesOfFour[bits]);
  }
}

// OCP's E8M0: 2^(e - 127), 255 no number.
void DequantiseF8_E8M0(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; ++i) {
    dst[i] =
        src[i] == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, src[i] - 127);
  }
}

// A power of two, 16 bytes: the low halves, then the high ones.
void DequantiseMXFP4(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kBlock, src += 17) {
    const float half = std::ldexp(1.0f, src[0] - 128);
    for (size_t j = 0; j < kBlock; ++j) {
      const int bits = src[1 + j % 16] >> (j / 16 * 4) & 15;
      dst[i + j] = half * static_cast<float>(kHalvesOfFour[bits]);
    }
  }
}

// 32 values of four bits: the low halves of 16 bytes, then the high halves. Formats without a
// minimum pass -0.0 as `shift`, the one number whose addition also keeps the sign of a zero.
STRUPRUNE_INLINE void Unpack4(const uint8_t* quants, float scale, float shift, int centre,
                              float* dst) {
  for (size_t i = 0; i < 16; ++i) {
    dst[i] = scale * static_cast<float>((quants[i] & 15) - centre) + shift;
  }
  for (size_t i = 0; i < 16; ++i) {
    dst[i + 16] = scale * static_cast<float>((quants[i] >> 4) - centre) + shift;
  }
}

// The same with a fifth bit: bit i of `high` belongs to value i.
STRUPRUNE_INLINE void Unpack5(const uint8_t* quants, uint32_t high, float scale, float shift,
                              int centre, float* dst) {
  for (uint32_t i = 0; i < 16; ++i) {
    const int value = (quants[i] & 15) | static_cast<int>(((high >> i) & 1) << 4);
    dst[i] = scale * static_cast<float>(value - centre) + shift;
  }
  for (uint32_t i = 0; i < 16; ++i) {
    const int value = (quants[i] >> 4) | static_cast<int>(((high >> (i + 16)) & 1) << 4);
    dst[i + 16] = scale * static_cast<float>(value - centre) + shift;
  }
}

// f16 scale, 16 bytes.
STRUPRUNE_CLONES void DequantiseQ4_0(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kBlock, src += 18) {
    Unpack4(src + 2, LoadHalf(src), -0.0f, 8, dst + i);
  }
}

// f16 scale, f16 minimum, 16 bytes.
STRUPRUNE_CLONES void DequantiseQ4_1(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kBlock, src += 20) {
    Unpack4(src + 4, LoadHalf(src), LoadHalf(src + 2), 0, dst + i);
  }
}

// f16 scale, 32 high bits, 16 bytes.
STRUPRUNE_CLONES void DequantiseQ5_0(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kBlock, src += 22) {
    Unpack5(src + 6, Load<uint32_t>(src + 2), LoadHalf(src), -0.0f, 16, dst + i);
  }
}

// f16 scale, f16 minimum, 32 high bits, 16 bytes.
STRUPRUNE_CLONES void DequantiseQ5_1(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kBlock, src += 24) {
    Unpack5(src + 8, Load<uint32_t>(src + 4), LoadHalf(src), LoadHalf(src + 2), 0, dst + i);
  }
}

// f16 scale, 32 signed bytes.
STRUPRUNE_CLONES void DequantiseQ8_0(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kBlock, src += 34) {
    const float scale = LoadHalf(src);
    for (size_t j = 0; j < kBlock; ++j) {
      dst[i + j] = scale * static_cast<float>(static_cast<int8_t>(src[2 + j]));
    }
  }
}

// Scales and minima of the eight runs of 32 in a Q4_K or Q5_K block: six bits each in 12 bytes.
// Bytes 0-3 hold scales 0-3 and, in their top two bits, the top of scales 4-7; bytes 4-7 the minima
// likewise; bytes 8-11 the low four bits of scales 4-7 and of minima 4-7.
struct RunScales {
  float scale[8];
  float minimum[8];
};

STRUPRUNE_INLINE RunScales LoadRunScales(const uint8_t* src) {
  const float scale = LoadHalf(src);
  const float minimum = LoadHalf(src + 2);
  const uint8_t* packed = src + 4;
  RunScales runs;
  for (size_t i = 0; i < 4; ++i) {
    runs.scale[i] = scale * static_cast<float>(packed[i] & 63);
    runs.minimum[i] = minimum * static_cast<float>(packed[i + 4] & 63);
    runs.scale[i + 4] = scale * static_cast<float>((packed[i + 8] & 15) | ((packed[i] >> 6) << 4));
    runs.minimum[i + 4] =
        minimum * static_cast<float>((packed[i + 8] >> 4) | ((packed[i + 4] >> 6) << 4));
  }
  return runs;
}

// f16 scale, f16 scale of the minima, 12 bytes of run scales, 128 bytes: every 32 bytes hold a run
// in their low halves and the next run in their high halves.
STRUPRUNE_CLONES void DequantiseQ4_K(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kSuper, src += 144) {
    const RunScales runs = LoadRunScales(src);
    for (size_t run = 0; run < 8; ++run) {
      const uint8_t* quants = src + 16 + run / 2 * 32;
      const int shift = run % 2 == 0 ? 0 : 4;
      float* out = dst + i + run * 32;
      for (size_t j = 0; j < 32; ++j) {
        out[j] =
            runs.scale[run] * static_cast<float>((quants[j] >> shift) & 15) - runs.minimum[run];
      }
    }
  }
}

// As Q4_K, with 32 bytes of fifth bits before the quants: bit r of byte j belongs to value j of run
// r.
STRUPRUNE_CLONES void DequantiseQ5_K(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kSuper, src += 176) {
    const RunScales runs = LoadRunScales(src);
    const uint8_t* high = src + 16;
    for (size_t run = 0; run < 8; ++run) {
      const uint8_t* quants = src + 48 + run / 2 * 32;
      const int shift = run % 2 == 0 ? 0 : 4;
      float* out = dst + i + run * 32;
      for (size_t j = 0; j < 32; ++j) {
        const int value = ((quants[j] >> shift) & 15) | (((high[j] >> run) & 1) << 4);
        out[j] = runs.scale[run] * static_cast<float>(value) - runs.minimum[run];
      }
    }
  }
}

// 128 bytes of low halves, 64 bytes of high pairs, 16 signed scales (one for 16 values), f16 scale.
// Each half of the block (128 values) is four runs of 32: low bits from 64 bytes (runs 0 and 1 in
// the low halves, 2 and 3 in the high ones), high bits from pair r of 32 bytes.
STRUPRUNE_CLONES void DequantiseQ6_K(const uint8_t* src, size_t elements, float* dst) {
  for (size_t i = 0; i < elements; i += kSuper, src += 210) {
    const float scale = LoadHalf(src + 208);
    for (size_t run = 0; run < 8; ++run) {
      const size_t half = run / 4;
      const size_t part = run % 4;
      const uint8_t* low = src + half * 64 + part % 2 * 32;
      const uint8_t* high = src + 128 + half * 32;
      const int low_shift = part < 2 ? 0 : 4;
      const int high_shift = static_cast<int>(2 * part);
      for (size_t piece = 0; piece < 2; ++piece) {
        const float piece_scale =
            scale * static_cast<float>(static_cast<int8_t>(src[192 + run * 2 + piece]));
        float* out = dst + i + run * 32 + piece * 16;
        for (size_t j = 0; j < 16; ++j) {
          const size_t k = piece * 16 + j;
          const int value = ((low[k] >> low_shift) & 15) | (((high[k] >> high_shift) & 3) << 4);
          out[j] = piece_scale * static_cast<float>(value - 32);
        }
      }
    }
  }
}

using DequantiseLoop = void (*)(const uint8_t*, size_t, float*);

// In the order of the enum.
constexpr std::array<DequantiseLoop, 15> kDequantise{
    DequantiseF32,  DequantiseF16,     DequantiseBF16,    DequantiseQ4_0,    DequantiseQ4_1,
    DequantiseQ5_0, DequantiseQ5_1,    DequantiseQ8_0,    DequantiseQ4_K,    DequantiseQ5_K,
    DequantiseQ6_K, DequantiseF8_E4M3, DequantiseF4_E2M1, DequantiseF8_E8M0, DequantiseMXFP4,
};

STRUPRUNE_INLINE bool IsFinite(float value) {
  return (std::bit_cast<uint32_t>(value) & 0x7f800000) != 0x7f800000;
}

STRUPRUNE_CLONES size_t EncodeF32(const float* src, size_t elements, uint8_t* dst) {
  size_t broken = 0;
  for (size_t i = 0; i < elements; ++i) broken += IsFinite(src[i]) ? 0 : 1;
  std::memcpy(dst, src, elements * sizeof(float));
  return broken;
}

STRUPRUNE_CLONES size_t EncodeF16(const float* src, size_t elements, uint8_t* dst) {
  size_t broken = 0;
  for (size_t i = 0; i < elements; ++i) {
    const uint16_t half = FloatToHalf(src[i]);
    broken += (half & 0x7c00) == 0x7c00 ? 1 : 0;
    std::memcpy(dst + 2 * i, &half, 2);
  }
  return broken;
}

STRUPRUNE_CLONES size_t EncodeBF16(const float* src, size_t elements, uint8_t* dst) {
  size_t broken = 0;
  for (size_t i = 0; i < elements; ++i) {
    const uint16_t value = FloatToBfloat16(src[i]);
    broken += (value & 0x7f80) == 0x7f80 ? 1 : 0;
    std::memcpy(dst + 2 * i, &value, 2);
  }
  return broken;
}

STRUPRUNE_CLONES size_t EncodeQ8_0(const float* src, size_t elements, uint8_t* dst) {
  size_t broken = 0;
  for (size_t i = 0; i < elements; i += kBlock, dst += 34) {
    // On bit patterns, where NaNs and infinities come out largest instead of being lost.
    uint32_t largest_bits = 0;
    for (size_t j = 0; j < kBlock; ++j) {
      const uint32_t bits = std::bit_cast<uint32_t>(src[i + j]) & 0x7fffffff;
      largest_bits = bits > largest_bits ? bits : largest_bits;
    }
    const float scale = std::bit_cast<float>(largest_bits) / 127.0f;
    const uint16_t half = FloatToHalf(scale);
    std::memcpy(dst, &half, 2);
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    // A block whose scale is not finite is broken as a whole; one so small that the inverse
    // overflows has a scale that is stored as zero.
    const bool usable = (half & 0x7c00) != 0x7c00 && IsFinite(inverse);
    broken += (half & 0x7c00) == 0x7c00 ? kBlock : 0;
    for (size_t j = 0; j < kBlock; ++j) {
      const float scaled = usable ? src[i + j] * inverse : 0.0f;
      const float magnitude = std::fabs(scaled);
      const auto whole = static_cast<int32_t>(magnitude);
      const int32_t rounded = whole + (magnitude - static_cast<float>(whole) >= 0.5f ? 1 : 0);
      dst[2 + j] = static_cast<uint8_t>(static_cast<int8_t>(scaled < 0.0f ? -rounded : rounded));
    }
  }
  return broken;
}

// Whether a half is a number.
STRUPRUNE_INLINE bool IsFiniteHalf(uint16_t half) { return (half & 0x7c00) != 0x7c00; }

// kBits a value, the fifth ones in 32 bits before the rest, as Unpack4 and Unpack5 read them.
template <int kBits>
STRUPRUNE_INLINE void PackQuants(const uint8_t* quants, uint8_t* dst) {
  if (kBits == 5) {
    uint32_t high = 0;
    for (uint32_t i = 0; i < kBlock; ++i) high |= static_cast<uint32_t>(quants[i] >> 4) << i;
    std::memcpy(dst, &high, sizeof(high));
    dst += sizeof(high);
  }
  for (size_t i = 0; i < kBlock / 2; ++i) {
    dst[i] = static_cast<uint8_t>((quants[i] & 15) | (quants[i + kBlock / 2] << 4));
  }
}

// Of a block with one f16: the value of the largest magnitude becomes the lowest step.
struct SymmetricScale {
  float scale, largest;
  uint16_t half;
};

template <int kBits>
STRUPRUNE_INLINE SymmetricScale SymmetricScaleOf(const float* src) {
  uint32_t largest_bits = 0;
  float largest = 0;
  for (size_t j = 0; j < kBlock; ++j) {
    const uint32_t bits = std::bit_cast<uint32_t>(src[j]) & 0x7fffffff;
    if (bits > largest_bits) largest_bits = bits, largest = src[j];
  }
  const float scale = largest / -static_cast<float>(1 << (kBits - 1));
  return {scale, largest, FloatToHalf(scale)};
}

template <int kBits>
STRUPRUNE_INLINE size_t EncodeSymmetric(const float* src, size_t elements, uint8_t* dst) {
  constexpr int kCentre = 1 << (kBits - 1), kMost = 2 * kCentre - 1;
  constexpr size_t kBytes = 2 + (kBits == 5 ? 4 : 0) + kBlock / 2;
  size_t broken = 0;
  for (size_t i = 0; i < elements; i += kBlock, dst += kBytes) {
    const auto [scale, largest, half] = SymmetricScaleOf<kBits>(src + i);
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    const bool usable = IsFiniteHalf(half) && IsFinite(inverse);
    broken += IsFiniteHalf(half) ? 0 : kBlock;
    uint8_t quants[kBlock];
    for (size_t j = 0; j < kBlock; ++j) {
      // The rounded product, whose sum with the next line no compiler fuses.
      const float scaled =
          usable ? std::copysign(std::fabs(src[i + j] * inverse), src[i + j] * -largest) : 0.0f;
      const auto step = static_cast<int32_t>(scaled + (static_cast<float>(kCentre) + 0.5f));
      quants[j] = static_cast<uint8_t>(step < kMost ? step : kMost);
    }
    std::memcpy(dst, &half, sizeof(half));
    PackQuants<kBits>(quants, dst + sizeof(half));
  }
  return broken;
}

// Of a block with two f16: the steps go from the smallest value to the largest.
struct RangeScale {
  float scale, least;
  uint16_t halves[2];
  bool finite;
};

template <int kBits>
STRUPRUNE_INLINE RangeScale RangeScaleOf(const float* src) {
  float least = src[0], most = src[0];
  bool finite = true;
  for (size_t j = 0; j < kBlock; ++j) {
    finite = finite && IsFinite(src[j]);
    least = src[j] < least ? src[j] : least;
    most = src[j] > most ? src[j] : most;
  }
  const float scale = (most - least) / static_cast<float>((1 << kBits) - 1);
  const uint16_t halves[] = {FloatToHalf(scale), FloatToHalf(least)};
  return {scale,
          least,
          {halves[0], halves[1]},
          finite && IsFiniteHalf(halves[0]) && IsFiniteHalf(halves[1])};
}

template <int kBits>
STRUPRUNE_INLINE size_t EncodeFromMinimum(const float* src, size_t elements, uint8_t* dst) {
  constexpr int kMost = (1 << kBits) - 1;
  constexpr size_t kBytes = 4 + (kBits == 5 ? 4 : 0) + kBlock / 2;
  size_t broken = 0;
  for (size_t i = 0; i < elements; i += kBlock, dst += kBytes) {
    const auto [scale, least, halves, finite] = RangeScaleOf<kBits>(src + i);
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    const bool usable = finite && IsFinite(inverse);
    broken += finite ? 0 : kBlock;
    uint8_t quants[kBlock];
    for (size_t j = 0; j < kBlock; ++j) {
      // As above.
      const float scaled = usable ? std::fabs((src[i + j] - least) * inverse) : 0.0f;
      const auto step = static_cast<int32_t>(scaled + 0.5f);
      quants[j] = static_cast<uint8_t>(step < kMost ? step : kMost);
    }
    std::memcpy(dst, halves, sizeof(halves));
    PackQuants<kBits>(quants, dst + sizeof(halves));
  }
  return broken;
}

// Codes of E2M1 nearest to a magnitude, halves to the even one.
STRUPRUNE_INLINE int NearestOfFour(float magnitude) {
  return (magnitude > 0.25f) + (magnitude >= 0.75f) + (magnitude > 1.25f) + (magnitude >= 1.75f) +
         (magnitude > 2.5f) + (magnitude >= 3.5f) + (magnitude > 5.0f);
}

// What 2^(127 - power) is times: by that power values are cut to codes.
STRUPRUNE_INLINE float InverseOfPower(int power) { return std::ldexp(1.0f, 127 - power); }

// The sum of the squared errors of a block with that power, in units of it.
double ErrorOfPower(const float* values, int power) {
  const float inverse = InverseOfPower(power);
  double sum = 0;
  for (size_t j = 0; j < kBlock; ++j) {
    const float scaled = std::fabs(values[j]) * inverse;
    const double error = 0.5 * kHalvesOfFour[NearestOfFour(scaled)] - static_cast<double>(scaled);
    sum += error * error;
  }
  return sum;
}

// Of a block's two powers that can be the best, that with the least error: by the first the largest
// magnitude is from 4 up to 8, of which 6 is the most that a code holds, by the second half of
// that. What codes with some power hold is held by the first too. Empty where a value is no number.
std::optional<int> PowerOf(const float* values) {
  uint32_t largest = 0;
  for (size_t j = 0; j < kBlock; ++j) {
    largest = std::max(largest, std::bit_cast<uint32_t>(values[j]) & 0x7fffffff);
  }
  const int exponent = static_cast<int>(largest >> 23);
  if (exponent == 255) return std::nullopt;
  const int power = std::max(exponent - 2, 0);
  const double fine = ErrorOfPower(values, power), coarse = ErrorOfPower(values, power + 1);
  return 4 * coarse < fine ? power + 1 : power;
}

std::optional<BlockSteps> MXFP4Steps(const float* values) {
  const auto power = PowerOf(values);
  if (!power) return std::nullopt;
  return BlockSteps{std::ldexp(1.0f, *power - 127), -0.0f, 7, 14, false, true};
}

size_t EncodeMXFP4(const float* src, size_t elements, uint8_t* dst) {
  size_t broken = 0;
  for (size_t i = 0; i < elements; i += kBlock, dst += 17) {
    const auto power = PowerOf(src + i);
    broken += power ? 0 : kBlock;
    dst[0] = static_cast<uint8_t>(power.value_or(0));
    const float inverse = power ? InverseOfPower(*power) : 0.0f;
    uint8_t codes[kBlock];
    for (size_t j = 0; j < kBlock; ++j) {
      const int code = NearestOfFour(std::fabs(src[i + j]) * inverse);
      // Zeros are read without a sign.
      codes[j] = static_cast<uint8_t>(code | (src[i + j] < 0 && code > 0 ? 8 : 0));
    }
    PackQuants<4>(codes, dst + 1);
  }
  return broken;
}

template <int kBits>
std::optional<BlockSteps> SymmetricSteps(const float* values) {
  constexpr int kCentre = 1 << (kBits - 1);
  const SymmetricScale found = SymmetricScaleOf<kBits>(values);
  if (!IsFiniteHalf(found.half)) return std::nullopt;
  return BlockSteps{HalfToFloat(found.half), -0.0f, kCentre, 2 * kCentre - 1, false};
}

template <int kBits>
std::optional<BlockSteps> RangeSteps(const float* values) {
  const RangeScale found = RangeScaleOf<kBits>(values);
  if (!found.finite) return std::nullopt;
  return BlockSteps{HalfToFloat(found.halves[0]), HalfToFloat(found.halves[1]), 0, (1 << kBits) - 1,
                    true};
}

STRUPRUNE_CLONES size_t EncodeQ4_0(const float* src, size_t elements, uint8_t* dst) {
  return EncodeSymmetric<4>(src, elements, dst);
}
STRUPRUNE_CLONES size_t EncodeQ4_1(const float* src, size_t elements, uint8_t* dst) {
  return EncodeFromMinimum<4>(src, elements, dst);
}
STRUPRUNE_CLONES size_t EncodeQ5_0(const float* src, size_t elements, uint8_t* dst) {
  return EncodeSymmetric<5>(src, elements, dst);
}
STRUPRUNE_CLONES size_t EncodeQ5_1(const float* src, size_t elements, uint8_t* dst) {
  return EncodeFromMinimum<5>(src, elements, dst);
}

using EncodeLoop = size_t (*)(const float*, size_t, uint8_t*);

// In the order of the enum; null for what is only read.
constexpr std::array<EncodeLoop, 15> kEncode{
    EncodeF32, EncodeF16, EncodeBF16, EncodeQ4_0, EncodeQ4_1, EncodeQ5_0, EncodeQ5_1,  EncodeQ8_0,
    nullptr,   nullptr,   nullptr,    nullptr,    nullptr,    nullptr,    EncodeMXFP4,
};

void RequireBlocks(Dtype dtype, size_t elements) {
  const size_t block = LayoutOf(dtype).elements;
  if (elements % block == 0) return;
  throw Error("ERR_INTERNAL", std::to_string(elements) + " values are not whole " +
                                  std::string(NameOf(dtype)) + " blocks of " +
                                  std::to_string(block));
}

}  // namespace

uint64_t StorageBytes(Dtype dtype, uint64_t elements) {
  const DtypeLayout layout = LayoutOf(dtype);
  return elements / layout.elements * layout.bytes;
}

void Dequantise(Dtype dtype, const std::byte* src, size_t elements, float* dst) {
  RequireBlocks(dtype, elements);
  kDequantise[static_cast<size_t>(dtype)](reinterpret_cast<const uint8_t*>(src), elements, dst);
}

bool CanEncode(Dtype dtype) { return kEncode[static_cast<size_t>(dtype)] != nullptr; }

bool HasSteps(Dtype dtype) {
  return dtype == Dtype::Q4_0 || dtype == Dtype::Q4_1 || dtype == Dtype::Q5_0 ||
         dtype == Dtype::Q5_1 || dtype == Dtype::MXFP4;
}

std::optional<BlockSteps> StepsOf(Dtype dtype, const float* values) {
  switch (dtype) {
    case Dtype::Q4_0:
      return SymmetricSteps<4>(values);
    case Dtype::Q4_1:
      return RangeSteps<4>(values);
    case Dtype::Q5_0:
      return SymmetricSteps<5>(values);
    case Dtype::Q5_1:
      return RangeSteps<5>(values);
    case Dtype::MXFP4:
      return MXFP4Steps(values);
    default:
      throw Error("ERR_INTERNAL", "no steps are known of " + std::string(NameOf(dtype)));
  }
}

size_t Encode(Dtype dtype, const float* src, size_t elements, std::byte* dst) {
  RequireBlocks(dtype, elements);
  if (!CanEncode(dtype)) {
    throw Error("ERR_INTERNAL", "cannot write " + std::string(NameOf(dtype)));
  }
  return kEncode[static_cast<size_t>(dtype)](src, elements, reinterpret_cast<uint8_t*>(dst));
}

void PartOfMXFP4(Dtype part, std::span<const std::byte> blocks, std::byte* dst) {
  const auto* from = reinterpret_cast<const uint8_t*>(blocks.data());
  auto* to = reinterpret_cast<uint8_t*>(dst);
  for (size_t i = 0; i < blocks.size() / 17; ++i, from += 17) {
    if (part == Dtype::F8_E8M0) {
      *to++ = from[0];
      continue;
    }
    const auto code = [from](size_t j) { return from[1 + j % 16] >> (j / 16 * 4) & 15; };
    for (size_t j = 0; j < kBlock; j += 2) {
      *to++ = static_cast<uint8_t>(code(j) | (code(j + 1) << 4));
    }
  }
}

int BlockSteps::Nearest(double value) const {
  if (scale == 0) return centre;
  if (!of_four) {
    const double step = std::round((value - shift) / scale) + centre;
    return static_cast<int>(std::clamp(step, 0.0, static_cast<double>(most)));
  }
  const int code = NearestOfFour(static_cast<float>(std::abs(value) / scale));
  return centre + (value < 0 ? -code : code);
}

float BlockSteps::value(int step) const {
  if (!of_four) return scale * static_cast<float>(step - centre) + shift;
  const int code = step < centre ? 8 + centre - step : step - centre;
  return 0.5f * scale * static_cast<float>(kHalvesOfFour[code]);
}

}  // namespace struprune
