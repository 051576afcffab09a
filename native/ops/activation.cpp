#include "ops/activation.h"

#include "core/simd.h"
#include "ops/activation_value.h"

namespace struprune {
namespace {

template <Activation kind>
STRUPRUNE_INLINE void Apply(size_t count, const float* gate, const float* up, float* out) {
  if (gate) {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) out[i] = ActivationAt<kind>(gate[i]).value * up[i];
  } else {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) out[i] = ActivationAt<kind>(up[i]).value;
  }
}

template <Activation kind>
STRUPRUNE_INLINE void ApplyWithSlopes(size_t count, float* gate, float* up, float* out) {
  if (gate) {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) {
      const ValueAndSlope act = ActivationAt<kind>(gate[i]);
      const float linear = up[i];
      out[i] = act.value * linear;
      gate[i] = act.slope * linear;
      up[i] = act.value;
    }
  } else {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) {
      const ValueAndSlope act = ActivationAt<kind>(up[i]);
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
      const ValueAndSlope act = ActivationAt<kind>(gate[i]);
      const float grad = grad_out[i];
      grad_gate[i] = grad * up[i] * act.slope;
      grad_up[i] = grad * act.value;
    }
  } else {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) grad_up[i] = grad_out[i] * ActivationAt<kind>(up[i]).slope;
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
    case Activation::kGeluTanh:
      return Apply<Activation::kGeluTanh>(count, gate, up, out);
  }
}

STRUPRUNE_CLONES
void ActivateClamped(ClampedGate by, size_t count, const float* gate, const float* up, float* out) {
  // clang captures no structured binding in a loop of OpenMP's.
  const float limit = by.limit, alpha = by.alpha;
#pragma omp simd
  for (size_t i = 0; i < count; ++i) {
    const float below = up[i] < limit ? up[i] : limit;
    const float linear = below > -limit ? below : -limit;
    const float g = gate[i] < limit ? gate[i] : limit;
    out[i] = g / (1.0f + Exp(-alpha * g)) * (linear + 1.0f);
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
    case Activation::kGeluTanh:
      return ApplyWithSlopes<Activation::kGeluTanh>(count, gate, up, out);
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
    case Activation::kGeluTanh:
      return ApplyBackward<Activation::kGeluTanh>(count, gate, up, grad_out, grad_gate, grad_up);
  }
}

}  // namespace struprune
