#include "ops/activation.h"

#include <cmath>
#include <numbers>

#include "core/simd.h"
#include "ops/exp.h"

namespace struprune {
namespace {

struct ValueAndSlope {
  float value, slope;
};

template <Activation kind>
STRUPRUNE_INLINE ValueAndSlope Of(float x) {
  if constexpr (kind == Activation::kSilu) {
    const float s = 1.0f / (1.0f + Exp(-x));
    return {x * s, s * (1.0f + x * (1.0f - s))};
  } else if constexpr (kind == Activation::kRelu) {
    return {x > 0 ? x : 0.0f, x > 0 ? 1.0f : 0.0f};
  } else {
    const float cdf = 0.5f * (1.0f + std::erf(x / std::numbers::sqrt2_v<float>));
    const float pdf =
        Exp(-0.5f * x * x) * std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
    return {x * cdf, cdf + x * pdf};
  }
}

template <Activation kind>
STRUPRUNE_INLINE void Apply(size_t count, const float* gate, const float* up, float* out) {
  if (gate) {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) out[i] = Of<kind>(gate[i]).value * up[i];
  } else {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) out[i] = Of<kind>(up[i]).value;
  }
}

template <Activation kind>
STRUPRUNE_INLINE void ApplyWithSlopes(size_t count, float* gate, float* up, float* out) {
  if (gate) {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) {
      const ValueAndSlope act = Of<kind>(gate[i]);
      const float linear = up[i];
      out[i] = act.value * linear;
      gate[i] = act.slope * linear;
      up[i] = act.value;
    }
  } else {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) {
      const ValueAndSlope act = Of<kind>(up[i]);
      out[i] = act.value;
      up[i] = act.slope;
    }
  }
}

template <Activation kind>
STRUPRUNE_INLINE void ApplyBackward(size_t count, const float* gate, const float* up,
                                    const float* grad_out, float* grad_gate, float* grad_up) {
  if (gate) {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) {
      const ValueAndSlope act = Of<kind>(gate[i]);
      const float grad = grad_out[i];
      grad_gate[i] = grad * up[i] * act.slope;
      grad_up[i] = grad * act.value;
    }
  } else {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) grad_up[i] = grad_out[i] * Of<kind>(up[i]).slope;
  }
}

}  // namespace

STRUPRUNE_CLONES
void Activate(Activation kind, size_t count, const float* gate, const float* up, float* out) {
  switch (kind) {
    case Activation::kSilu:
      return Apply<Activation::kSilu>(count, gate, up, out);
    case Activation::kRelu:
      return Apply<Activation::kRelu>(count, gate, up, out);
    case Activation::kGelu:
      return Apply<Activation::kGelu>(count, gate, up, out);
  }
}

STRUPRUNE_CLONES
void ActivateWithSlopes(Activation kind, size_t count, float* gate, float* up, float* out) {
  switch (kind) {
    case Activation::kSilu:
      return ApplyWithSlopes<Activation::kSilu>(count, gate, up, out);
    case Activation::kRelu:
      return ApplyWithSlopes<Activation::kRelu>(count, gate, up, out);
    case Activation::kGelu:
      return ApplyWithSlopes<Activation::kGelu>(count, gate, up, out);
  }
}

STRUPRUNE_CLONES
void ActivateBackward(Activation kind, size_t count, const float* gate, const float* up,
                      const float* grad_out, float* grad_gate, float* grad_up) {
  switch (kind) {
    case Activation::kSilu:
      return ApplyBackward<Activation::kSilu>(count, gate, up, grad_out, grad_gate, grad_up);
    case Activation::kRelu:
      return ApplyBackward<Activation::kRelu>(count, gate, up, grad_out, grad_gate, grad_up);
    case Activation::kGelu:
      return ApplyBackward<Activation::kGelu>(count, gate, up, grad_out, grad_gate, grad_up);
  }
}

}  // namespace struprune
