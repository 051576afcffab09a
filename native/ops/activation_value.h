// A pointwise activation with its slope, to be inlined into loops that vectorise.
#pragma once

#include <cmath>
#include <numbers>

#include "core/simd.h"
#include "ops/activation_kind.h"
#include "ops/exp.h"

namespace struprune {

struct ValueAndSlope {
  float value, slope;
};

template <Activation kind>
STRUPRUNE_INLINE ValueAndSlope ActivationAt(float x) {
  if constexpr (kind == Activation::kSilu) {
    const float s = 1.0f / (1.0f + Exp(-x));
    return {x * s, s * (1.0f + x * (1.0f - s))};
  } else if constexpr (kind == Activation::kRelu) {
    return {x > 0 ? x : 0.0f, x > 0 ? 1.0f : 0.0f};
  } else if constexpr (kind == Activation::kGeluTanh) {
    // (1 + tanh u) / 2 is the logistic function of 2 u: 0 or 1 in floats from |x| = 12 on.
    constexpr float kRoot = 1.5957691216057308f, kCubic = 0.044715f;  // 2 sqrt(2 / pi)
    const float near = x < -12.0f ? -12.0f : x > 12.0f ? 12.0f : x;
    const float s = 1.0f / (1.0f + Exp(-kRoot * (near + kCubic * near * near * near)));
    return {x * s, s + near * s * (1.0f - s) * kRoot * (1.0f + 3.0f * kCubic * near * near)};
  } else {
    const float cdf = 0.5f * (1.0f + std::erf(x / std::numbers::sqrt2_v<float>));
    const float pdf =
        Exp(-0.5f * x * x) * std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
    return {x * cdf, cdf + x * pdf};
  }
}

}  // namespace struprune
