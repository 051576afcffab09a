// Where a block's FFN meets the solvers of its input weights: it goes out as an FfnMap, and its
// input weights come back.
#pragma once

#include "model/block.h"
#include "passes/ffn_map.h"
#include "solver/refit.h"

namespace struprune {

// A copy of the input weights θ; biases, where the block has them, are the last column. Throws
// ERR_UNSUPPORTED where only one of gate and up has a bias.
InputWeights InputWeightsOf(const Sublayer& layer);

// The block gets them, rounded to what is stored. Throws ERR_ARGUMENT for another shape.
void SetInputWeights(Block& block, const Sublayer& layer, const InputWeights& weights);

// The FFN with its own output map, or with that of a refit. Throws ERR_ARGUMENT for a refit of
// another shape.
FfnMap MapOf(const Sublayer& layer, const Refit* refit);

}  // namespace struprune
