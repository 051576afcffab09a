// exp(x) in float to about 1 ulp, written so that a loop over it vectorises: the same bits whatever
// the C library (and JavaScript engine) at hand.
#pragma once

#include <bit>
#include <cstdint>

#include "core/simd.h"

namespace struprune {

// e^x = mantissa 2^exponent for |x| < 2^14, rougher beyond; without undefined behaviour whatever x
// is. Inlined by force: left as a call, GCC keeps it scalar in the clones of
// STRUPRUNE_CLONES.
struct ExpTerms {
  float mantissa;
  uint32_t exponent;  // modulo 2^32
};
STRUPRUNE_INLINE ExpTerms TermsOfExp(float x) {
  // x = n ln 2 + r, |r| <= ln 2 / 2; adding and taking away 1.5 * 2^23 rounds to the nearest
  // integer, which then lies in the lowest bits.
  constexpr float kShift = 12582912.0f;
  const float shifted = x * 1.44269504088896341f + kShift;
  const float n = shifted - kShift;
  // ln 2 in two parts, n times the first of which is exact for |n| < 2^15.
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return {p, std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kShift)};
}

// 2^n for -126 <= n <= 127, n modulo 2^32.
STRUPRUNE_INLINE float PowerOfTwo(uint32_t n) { return std::bit_cast<float>((n + 127) << 23); }

// Below -87.3 the result would be subnormal, above 88.7 infinite: the lower side is flushed, the
// upper one clamped.
STRUPRUNE_INLINE float Exp(float x) {
  const ExpTerms terms = TermsOfExp(x > 88.7f ? 88.7f : x);
  // In two factors, since 2^128 alone would overflow.
  const uint32_t half = static_cast<uint32_t>(static_cast<int32_t>(terms.exponent) >> 1);
  const float result = terms.mantissa * PowerOfTwo(half) * PowerOfTwo(terms.exponent - half);
  return x < -87.0f ? 0.0f : result;
}

// The same for x <= 0, in fewer steps.
STRUPRUNE_INLINE float ExpOfNonPositive(float x) {
  const ExpTerms terms = TermsOfExp(x);
  return x < -87.0f ? 0.0f : terms.mantissa * PowerOfTwo(terms.exponent);
}

}  // namespace struprune
