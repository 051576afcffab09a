// A sublayer's gated delta rule over the whole windows of a flight.
#pragma once

#include <functional>

#include "core/context.h"
#include "model/block.h"

namespace struprune {

// Numbers of its buffers for so many tokens.
struct DeltaCounts {
  DeltaCounts(const Context& context, const DeltaSpec& spec, size_t tokens);
  size_t Total() const { return 2 * mixed + gate + 2 * rates + states; }
  size_t mixed, gate, rates, states;
};

class DeltaMixer {
 public:
  DeltaMixer(const Sublayer& layer, size_t tokens);

  // out[rows, width]: what the output map reads, of hidden[rows, hidden] in whole windows; OfWorker
  // gives a worker rows of scratch for a chunk, as wide as the states.
  void Run(size_t window, size_t rows, const float* hidden, float* out,
           const std::function<float*(size_t)>& OfWorker);

 private:
  const Sublayer layer_;
  const DeltaSpec& spec_;
  const size_t tokens_;
  // Queries, keys and values of all tokens, one after the other, in front of the convolution and
  // behind it; and so on; a state a worker.
  Buffer<float> mixed_, convolved_, gate_, beta_, alpha_, states_;
};

}  // namespace struprune
