// Soft caps of scores and logits: cap tanh(x / cap) (arXiv 2408.00118, section 2.2).
#pragma once

#include <cstddef>

namespace struprune {

// x[count] <- the capped values; nothing where cap is 0.
void SoftCap(float cap, size_t count, float* x);

// The derivative at a value, by what it was capped to.
inline float SoftCapSlope(float cap, float capped) {
  const float share = capped / cap;
  return 1 - share * share;
}

}  // namespace struprune
