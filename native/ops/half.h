// Half-precision floats as bit patterns, in arithmetic that compilers turn into vector code: no
// branches, no library calls, no subnormal operands (those are slow on some processors).
#pragma once

#include <bit>
#include <cstdint>

#include "core/simd.h"

namespace struprune {

// A choice by masks: compilers turn ?: between computed floats into a branch, which keeps a loop
// scalar.
STRUPRUNE_INLINE uint32_t Choose(bool condition, uint32_t yes, uint32_t no) {
  const uint32_t mask = 0u - static_cast<uint32_t>(condition);
  return (yes & mask) | (no & ~mask);
}

// IEEE 754 binary16 to binary32; exact.
STRUPRUNE_INLINE float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  constexpr uint32_t kRebias = (127 - 15) << 23;
  // Infinities and NaNs get the rest of the way to the largest exponent.
  const uint32_t normal = (magnitude << 13) + (magnitude >= 0x7c00 ? 2 * kRebias : kRebias);
  const float subnormal = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f;
  const uint32_t bits = Choose(magnitude < 0x400, std::bit_cast<uint32_t>(subnormal), normal);
  return std::bit_cast<float>(bits | sign);
}

// Rounds to nearest, ties to even; 65520 and more become infinite; NaNs stay NaNs.
STRUPRUNE_INLINE uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffff;
  constexpr uint32_t kRebias = (127 - 15) << 23;
  constexpr uint32_t kSmallestNormal = 113u << 23;  // 2^-14
  constexpr uint32_t kOverflow = 0x477ff000;        // 65520
  constexpr uint32_t kInfinity = 0x7f800000;
  const uint32_t normal = (magnitude - kRebias + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  // In [0.5, 1) floats are 2^-24 apart, as subnormal halves are: the addition rounds.
  const float shifted =
      std::bit_cast<float>(Choose(magnitude < kSmallestNormal, magnitude, 0)) + 0.5f;
  const uint32_t subnormal = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t nan = 0x7e00 | ((magnitude >> 13) & 0x3ff);
  uint32_t half = Choose(magnitude < kSmallestNormal, subnormal, normal);
  half = Choose(magnitude >= kOverflow, 0x7c00, half);
  half = Choose(magnitude > kInfinity, nan, half);
  return static_cast<uint16_t>(half | ((bits >> 16) & 0x8000));
}

STRUPRUNE_INLINE float Bfloat16ToFloat(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

// Rounds to nearest, ties to even; NaNs stay NaNs.
STRUPRUNE_INLINE uint16_t FloatToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40;
  return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

}  // namespace struprune
