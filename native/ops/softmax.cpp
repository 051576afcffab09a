#include "ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "core/simd.h"
#include "ops/exp.h"

namespace struprune {

// By lanes of its own: without -ffinite-math GCC keeps a max reduction scalar. As many as two
// vectors of the widest kind, or GCC takes the lanes apart.
STRUPRUNE_CLONES
float MaximumOf(size_t count, const float* x, float top) {
  constexpr size_t kLanes = 32;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, top);
  size_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) lanes[i] = x[j + i] > lanes[i] ? x[j + i] : lanes[i];
  }
  for (; j < count; ++j) top = std::max(top, x[j]);
  if (count < kLanes) return top;
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] = std::max(lanes[i], lanes[i + half]);
  }
  return std::max(top, lanes[0]);
}

STRUPRUNE_CLONES
float ExpInPlace(size_t count, float* x, float shift) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t j = 0; j < count; ++j) {
    x[j] = ExpOfNonPositive(x[j] - shift);
    sum += x[j];
  }
  return sum;
}

float SoftmaxPiece(size_t count, float* x, RunningSoftmax& state, double& piece) {
  const float top = MaximumOf(count, x, state.maximum);
  const float shrink = state.sum > 0 ? std::exp(state.maximum - top) : 0.0f;
  piece = ExpInPlace(count, x, top);
  state.sum = state.sum * shrink + piece;
  state.maximum = top;
  return shrink;
}

}  // namespace struprune
