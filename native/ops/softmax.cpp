#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/simd.h"
#include "ops/exp.h"

namespace struprune {

// By vectors of its own: without -ffinite-math GCC keeps a max reduction scalar.
STRUPRUNE_CLONES
float MaximumOf(size_t count, const float* x, float top) {
  constexpr size_t kLanes = 16;
  using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
  Lanes even = top - Lanes{}, odd = even;
  size_t j = 0;
  for (; j + 2 * kLanes <= count; j += 2 * kLanes) {
    Lanes pair[2];
    std::memcpy(pair, x + j, sizeof pair);
    even = pair[0] > even ? pair[0] : even;
    odd = pair[1] > odd ? pair[1] : odd;
  }
  for (; j < count; ++j) top = std::max(top, x[j]);
  if (count < 2 * kLanes) return top;
  const Lanes best = even > odd ? even : odd;
  for (size_t i = 0; i < kLanes; ++i) top = std::max(top, best[i]);
  return top;
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
