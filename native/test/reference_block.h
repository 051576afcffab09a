// One transformer block in double by plain loops over the textbook formulas; shares no code with
// native/model or native/ops. The oracle of the backward pass by central differences.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "model/block.h"

namespace struprune::test {

using Doubles = std::vector<double>;

// Random weights of one block, as floats: both the reference and a Block read these.
struct BlockWeights {
  std::array<std::vector<float>, kRoles> values;  // empty = absent; matrices row-major [out, in]
  const std::vector<float>& operator[](Role role) const {
    return values[static_cast<size_t>(role)];
  }
};

struct BiasSet {
  bool qkv = false, o = false, ffn_in = false, down = false, norm = false;
};
BlockWeights RandomWeights(const BlockSpec& spec, const BiasSet& biases, unsigned seed);
// In a store of its own, with all pages in memory, where none is given.
Block MakeBlock(const std::shared_ptr<Context>& context, const BlockSpec& spec,
                const BlockWeights& weights, std::shared_ptr<PageStore> store = nullptr,
                StripSize strip = {});

// Output of the block for h[tokens, hidden]. at_attention and at_ffn [tokens, hidden] are added to
// the outputs y of o and down: the derivative with respect to them is delta.
Doubles ReferenceForward(const BlockSpec& spec, const BlockWeights& weights, size_t window,
                         const Doubles& h, const Doubles& at_attention, const Doubles& at_ffn);

}  // namespace struprune::test
