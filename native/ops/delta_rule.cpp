#include "ops/delta_rule.h"

#include <algorithm>
#include <cmath>

namespace struprune {
namespace {

float Sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

// As torch: the argument itself where it is large.
float Softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// to = scale x / |x|
void Unit(size_t count, const float* x, float scale, float* to) {
  constexpr float kEps = 1e-6f;
  float square = 0;
  for (size_t i = 0; i < count; ++i) square += x[i] * x[i];
  const float factor = scale / std::sqrt(square + kEps);
  for (size_t i = 0; i < count; ++i) to[i] = factor * x[i];
}

}  // namespace

void ConvolveSilu(size_t width, size_t kernel, const float* weights, size_t window, size_t first,
                  size_t count, const float* in, float* out) {
  for (size_t row = first; row < first + count; ++row) {
    float* const to = out + (row - first) * width;
    std::fill_n(to, width, 0.0f);
    const size_t seen = std::min(kernel, row % window + 1);
    for (size_t back = 0; back < seen; ++back) {
      const float* const x = in + (row - back) * width;
      const float* const tap = weights + (kernel - 1 - back);
      for (size_t c = 0; c < width; ++c) to[c] += tap[c * kernel] * x[c];
    }
    for (size_t c = 0; c < width; ++c) to[c] *= Sigmoid(to[c]);
  }
}

size_t DeltaScratch(size_t key_dim, size_t value_dim) {
  return key_dim * value_dim + 2 * key_dim + 2 * value_dim;
}

void RunDeltaHead(const DeltaRule& rule, size_t head, size_t tokens, const DeltaInputs& in,
                  float* out, float* scratch) {
  const size_t kd = rule.key_dim, vd = rule.value_dim;
  const size_t keys = rule.key_heads * kd, width = rule.value_heads * vd;
  const size_t key_head =
      rule.tiled ? head % rule.key_heads : head / (rule.value_heads / rule.key_heads);
  float* const state = scratch;  // [key_dim, value_dim]
  float* const q = state + kd * vd;
  float* const k = q + kd;
  float* const delta = k + kd;
  float* const o = delta + vd;
  std::fill_n(state, kd * vd, 0.0f);
  const float scale = 1 / std::sqrt(static_cast<float>(kd));
  const float rate = std::exp(rule.decay[head]);
  for (size_t t = 0; t < tokens; ++t) {
    Unit(kd, in.queries + t * keys + key_head * kd, scale, q);
    Unit(kd, in.keys + t * keys + key_head * kd, 1, k);
    const float* const v = in.values + t * width + head * vd;
    const size_t at = t * rule.value_heads + head;
    const float kept = std::exp(-rate * Softplus(in.alpha[at] + rule.step[head]));
    const float beta = Sigmoid(in.beta[at]);
    std::fill_n(delta, vd, 0.0f);
    for (size_t i = 0; i < kd; ++i) {
      float* const memory = state + i * vd;
      for (size_t j = 0; j < vd; ++j) {
        memory[j] *= kept;
        delta[j] += k[i] * memory[j];
      }
    }
    for (size_t j = 0; j < vd; ++j) delta[j] = beta * (v[j] - delta[j]);
    std::fill_n(o, vd, 0.0f);
    for (size_t i = 0; i < kd; ++i) {
      float* const memory = state + i * vd;
      for (size_t j = 0; j < vd; ++j) {
        memory[j] += k[i] * delta[j];
        o[j] += q[i] * memory[j];
      }
    }
    float square = 0;
    for (size_t j = 0; j < vd; ++j) square += o[j] * o[j];
    const float norm = 1 / std::sqrt(square / static_cast<float>(vd) + rule.eps);
    const float* const gate = in.gate + t * width + head * vd;
    float* const to = out + t * width + head * vd;
    for (size_t j = 0; j < vd; ++j) {
      to[j] = norm * o[j] * rule.weight[j] * gate[j] * Sigmoid(gate[j]);
    }
  }
}

}  // namespace struprune
