// exp(x) in float to about 1 ulp, written so that a loop over it vectorises: the same bits whatever
// the C library (and JavaScript engine) at hand.
#pragma once

#include <bit>
#include <cstdint>

#include "core/simd.h"

namespace struprune {

// Inlined by force: left as a call, GCC keeps it scalar in the clones of STRUPRUNE_CLONES.
STRUPRUNE_INLINE float Exp(float x) {
  // Below -87.3 the result would be subnormal, above 88.7 infinite: clamp, and flush the lower
  // side.
  const float clamped = x < -87.0f ? -87.0f : (x > 88.7f ? 88.7f : x);
  // x = n ln 2 + r, |r| <= ln 2 / 2; adding and taking away 1.5 * 2^23 rounds to the nearest
  // integer.
  const float shifted = clamped * 1.44269504088896341f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  // ln 2 in two parts, the first exact in n times it.
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t exponent = static_cast<int32_t>(n);
  // 2^n in two factors, since n = 128 alone would overflow.
  const int32_t half = exponent >> 1;
  const float scale1 = std::bit_cast<float>((half + 127) << 23);
  const float scale2 = std::bit_cast<float>((exponent - half + 127) << 23);
  const float result = p * scale1 * scale2;
  return x < -87.0f ? 0.0f : result;
}

}  // namespace struprune
