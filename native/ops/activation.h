// Pointwise activations and their gated forms.
#pragma once

#include <cstddef>

#include "ops/activation_kind.h"

namespace struprune {

// out[i] = act(gate[i]) * up[i], or act(up[i]) when gate is null; out may be gate or up.
void Activate(Activation kind, size_t count, const float* gate, const float* up, float* out);

// The same with its slopes, what a change of gate and of up changes out by: up[i] * act'(gate[i])
// and act(gate[i]), or act'(up[i]) alone when gate is null. They replace gate and up.
void ActivateWithSlopes(Activation kind, size_t count, float* gate, float* up, float* out);

// Gates and linear parts that are cut: gpt-oss's SwiGLU.
struct ClampedGate {
  float limit, alpha;
};

// out[i] = g σ(alpha g) (u + 1) with g = min(gate[i], limit) and u = up[i] within ±limit; out may
// be gate or up.
void ActivateClamped(ClampedGate by, size_t count, const float* gate, const float* up, float* out);

// Gradients of Activate: grad_up and (when gated) grad_gate are overwritten.
void ActivateBackward(Activation kind, size_t count, const float* gate, const float* up,
                      const float* grad_out, float* grad_gate, float* grad_up);

}  // namespace struprune
