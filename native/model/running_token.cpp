#include "model/running_token.h"

#include <algorithm>
#include <cmath>

namespace struprune {

float RunningToken::Take(size_t first, size_t count, float* logits, int32_t target) {
  const auto place = static_cast<size_t>(target);
  if (target >= 0 && place >= first && place < first + count) target_logit = logits[place - first];
  const float before = softmax.maximum;
  double piece = 0;
  const float shrink = SoftmaxPiece(count, logits, softmax, piece);
  // The new maximum is where the exponential is 1, exactly so.
  if (softmax.maximum > before) {
    best = static_cast<int32_t>(first + (std::find(logits, logits + count, 1.0f) - logits));
  }
  return shrink;
}

double RunningToken::LogSum() const { return std::log(softmax.sum) + softmax.maximum; }

}  // namespace struprune
