// A softmax over a row that arrives in pieces.
#pragma once

#include <cstddef>
#include <limits>

namespace struprune {

// The largest of top and x[count].
float MaximumOf(size_t count, const float* x, float top);

// x[count] -> exp(x - shift); returns their sum.
float ExpInPlace(size_t count, float* x, float shift);

struct RunningSoftmax {
  float maximum = -std::numeric_limits<float>::infinity();
  double sum = 0;  // of exp(x - maximum) over the pieces so far
};

// The next piece of a row: x[count] <- exp(x - maximum so far, this piece included). Returns the
// factor by which everything weighted with earlier exponentials shrinks; `piece` receives the sum
// of this piece's.
float SoftmaxPiece(size_t count, float* x, RunningSoftmax& state, double& piece);

}  // namespace struprune
