#include "solver/auxiliary_minimisers.h"

#include <algorithm>

#include "ops/activation_value.h"

namespace struprune {
namespace {

constexpr int kNewtonSteps = 8;

// Elements that go through Newton's method side by side: the steps are the outer loop, so that the
// inner one vectorises.
constexpr size_t kLanes = 64;

// z[i] becomes one near it that lowers (p − act(z) factor)² + beta (z − z[i])²; factor null: 1.
template <Activation kind>
STRUPRUNE_INLINE void Newton(size_t count, float beta, const float* p, const float* factor,
                             float* z) {
  float from[kLanes], by[kLanes], value[kLanes], slope[kLanes], lowest[kLanes], share[kLanes];
#pragma omp simd
  for (size_t i = 0; i < count; ++i) {
    from[i] = z[i];
    by[i] = factor ? factor[i] : 1.0f;
    const ValueAndSlope act = ActivationAt<kind>(z[i]);
    value[i] = act.value;
    slope[i] = act.slope;
    const float miss = p[i] - act.value * by[i];
    lowest[i] = miss * miss;
    share[i] = 1.0f;
  }
  for (int step = 0; step < kNewtonSteps; ++step) {
#pragma omp simd
    for (size_t i = 0; i < count; ++i) {
      const float s = slope[i] * by[i];
      const float move = (p[i] - value[i] * by[i]) * s - beta * (z[i] - from[i]);
      const float to = z[i] + share[i] * move / (s * s + beta);
      const ValueAndSlope act = ActivationAt<kind>(to);
      const float miss = p[i] - act.value * by[i];
      const float cost = miss * miss + beta * (to - from[i]) * (to - from[i]);
      const bool lower = cost < lowest[i];
      z[i] = lower ? to : z[i];
      value[i] = lower ? act.value : value[i];
      slope[i] = lower ? act.slope : slope[i];
      lowest[i] = lower ? cost : lowest[i];
      share[i] = lower ? 1.0f : 0.5f * share[i];
    }
  }
}

template <Activation kind>
STRUPRUNE_INLINE void Plain(size_t count, float beta, const float* p, float* up) {
  for (size_t i = 0; i < count; i += kLanes) {
    Newton<kind>(std::min(kLanes, count - i), beta, p + i, nullptr, up + i);
  }
}

template <Activation kind>
STRUPRUNE_INLINE void Gated(size_t count, float gate_beta, float up_beta, const float* p,
                            float* gate, float* up) {
  for (size_t i = 0; i < count; i += kLanes) {
    Newton<kind>(std::min(kLanes, count - i), gate_beta, p + i, up + i, gate + i);
  }
#pragma omp simd
  for (size_t i = 0; i < count; ++i) {
    const float value = ActivationAt<kind>(gate[i]).value;
    up[i] = (value * p[i] + up_beta * up[i]) / (value * value + up_beta);
  }
}

}  // namespace

STRUPRUNE_CLONES
void MinimiseRelu(size_t count, float beta, const float* p, float* up) {
#pragma omp simd
  for (size_t i = 0; i < count; ++i) {
    const float from = up[i];
    const float mean = (p[i] + beta * from) / (1 + beta);
    // The best z on either side of 0, and what each costs.
    const float on = mean > 0 ? mean : 0.0f, off = from < 0 ? from : 0.0f;
    const float on_cost = (p[i] - on) * (p[i] - on) + beta * (on - from) * (on - from);
    const float off_cost = p[i] * p[i] + beta * (off - from) * (off - from);
    up[i] = on_cost < off_cost ? on : off;
  }
}

STRUPRUNE_CLONES
void MinimisePlain(Activation kind, size_t count, float beta, const float* p, float* up) {
  switch (kind) {
    case Activation::kSilu:
      return Plain<Activation::kSilu>(count, beta, p, up);
    case Activation::kRelu:
      return MinimiseRelu(count, beta, p, up);
    case Activation::kGelu:
      return Plain<Activation::kGelu>(count, beta, p, up);
    case Activation::kGeluTanh:
      return Plain<Activation::kGeluTanh>(count, beta, p, up);
  }
}

STRUPRUNE_CLONES
void MinimiseGated(Activation kind, size_t count, float gate_beta, float up_beta, const float* p,
                   float* gate, float* up) {
  switch (kind) {
    case Activation::kSilu:
      return Gated<Activation::kSilu>(count, gate_beta, up_beta, p, gate, up);
    case Activation::kRelu:
      return Gated<Activation::kRelu>(count, gate_beta, up_beta, p, gate, up);
    case Activation::kGelu:
      return Gated<Activation::kGelu>(count, gate_beta, up_beta, p, gate, up);
    case Activation::kGeluTanh:
      return Gated<Activation::kGeluTanh>(count, gate_beta, up_beta, p, gate, up);
  }
}

}  // namespace struprune
