#include "ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "core/simd.h"
#include "ops/exp.h"

namespace struprune {
namespace {

STRUPRUNE_CLONES
float MaximumOf(size_t count, const float* x, float top) {
#pragma omp simd reduction(max : top)
  for (size_t j = 0; j < count; ++j) top = std::max(top, x[j]);
  return top;
}

STRUPRUNE_CLONES
float ExpInPlace(size_t count, float* x, float shift) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t j = 0; j < count; ++j) {
    x[j] = Exp(x[j] - shift);
    sum += x[j];
  }
  return sum;
}

}  // namespace

float SoftmaxPiece(size_t count, float* x, RunningSoftmax& state, double& piece) {
  const float top = MaximumOf(count, x, state.maximum);
  const float shrink = state.sum > 0 ? std::exp(state.maximum - top) : 0.0f;
  piece = ExpInPlace(count, x, top);
  state.sum = state.sum * shrink + piece;
  state.maximum = top;
  return shrink;
}

}  // namespace struprune
