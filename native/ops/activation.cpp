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

inline ValueAndSlope Silu(float x) {
  const float s = 1.0f / (1.0f + Exp(-x));
  return {x * s, s * (1.0f + x * (1.0f - s))};
}
inline ValueAndSlope Relu(float x) { return {x > 0 ? x : 0.0f, x > 0 ? 1.0f : 0.0f}; }
inline ValueAndSlope Gelu(float x) {
  const float cdf = 0.5f * (1.0f + std::erf(x / std::numbers::sqrt2_v<float>));
  const float pdf =
      Exp(-0.5f * x * x) * std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
  return {x * cdf, cdf + x * pdf};
}

}  // namespace

STRUPRUNE_CLONES
void Activate(Activation kind, size_t count, const float* gate, const float* up, float* out) {
  const float* x = gate ? gate : up;
  switch (kind) {
    case Activation::kSilu:
      for (size_t i = 0; i < count; ++i) out[i] = Silu(x[i]).value * (gate ? up[i] : 1.0f);
      break;
    case Activation::kRelu:
      for (size_t i = 0; i < count; ++i) out[i] = Relu(x[i]).value * (gate ? up[i] : 1.0f);
      break;
    case Activation::kGelu:
      for (size_t i = 0; i < count; ++i) out[i] = Gelu(x[i]).value * (gate ? up[i] : 1.0f);
      break;
  }
}

void ActivateBackward(Activation kind, size_t count, const float* gate, const float* up,
                      const float* grad_out, float* grad_gate, float* grad_up) {
  const float* x = gate ? gate : up;
  for (size_t i = 0; i < count; ++i) {
    const ValueAndSlope act = kind == Activation::kSilu   ? Silu(x[i])
                              : kind == Activation::kRelu ? Relu(x[i])
                                                          : Gelu(x[i]);
    const float through = grad_out[i] * (gate ? up[i] : 1.0f) * act.slope;
    if (gate) {
      grad_up[i] = grad_out[i] * act.value;
      grad_gate[i] = through;
    } else {
      grad_up[i] = through;
    }
  }
}

}  // namespace struprune
