// What is known of one token's row of logits while the vocabulary passes by in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "ops/softmax.h"

namespace struprune {

struct RunningToken {
  RunningSoftmax softmax;
  float target_logit = std::numeric_limits<float>::quiet_NaN();
  int32_t best = -1;  // token with the largest logit so far

  // Takes in logits[count] of the vocabulary from `first`, which become exp(logit - maximum so
  // far). Returns the factor by which sums weighted with earlier exponentials shrink.
  float Take(size_t first, size_t count, float* logits, int32_t target);

  double LogSum() const;  // log of the sum of exp(logit)
};

}  // namespace struprune
