#include "ops/soft_cap.h"

#include <cmath>

#include "core/simd.h"
#include "ops/exp.h"

namespace struprune {
namespace {

// Within 2e-7 of its value.
STRUPRUNE_INLINE float Tanh(float x) {
  const float square = x * x, size = std::fabs(x);
  // The series near 0, where 1 - e^(-2x) would cancel.
  float near = 62.0f / 2835.0f;
  near = near * square - 17.0f / 315.0f;
  near = near * square + 2.0f / 15.0f;
  near = near * square - 1.0f / 3.0f;
  near = x + x * square * near;
  const float below = Exp(-2 * size);
  const float far = std::copysign((1 - below) / (1 + below), x);
  return size < 0.3f ? near : far;
}

}  // namespace

STRUPRUNE_CLONES
void SoftCap(float cap, size_t count, float* x) {
  if (cap == 0) return;
  const float inverse = 1 / cap;
#pragma omp simd
  for (size_t i = 0; i < count; ++i) x[i] = cap * Tanh(x[i] * inverse);
}

}  // namespace struprune
