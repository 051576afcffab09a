// Whether every value of an array is finite.
#pragma once

#include <cstddef>

namespace struprune {

// Zero times a value is NaN when the value is not finite, and a sum of such products vectorises.
inline bool AllFinite(const float* values, size_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < count; ++i) sum += values[i] * 0.0f;
  return sum == 0.0f;
}

}  // namespace struprune
