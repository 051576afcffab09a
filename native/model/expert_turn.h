// An expert's turn in a refit of the output maps of its sublayer, one after the other.
#pragma once

#include <optional>

#include "model/forward.h"

namespace struprune {

// What is missing of the output that the sublayer is to have, `residual`, is kept for all tokens:
// an expert whose turn has come is taken out of the output, and put back with its new map.
struct ExpertTurn {
  size_t window = 0;
  PagedMatrix* hidden = nullptr;    // [tokens, hidden] before the sublayer; it stays as it is
  PagedMatrix* residual = nullptr;  // [tokens, hidden]; null: nothing is kept
  std::optional<size_t> back;       // residual -= what this one adds to the output; comes first
  std::optional<size_t> out;        // residual += what this one adds
  // Receives of tokens that are routed to `out` the input of its output map, times the weight that
  // it has for the token, and, where it keeps such, the residual before it is out.
  Statistics* statistics = nullptr;
};

// Throws ERR_ARGUMENT where shapes or experts do not fit.
void TurnExpert(const Sublayer& layer, const ExpertTurn& turn);
// Beside the block, the states and the statistics, which have a Gram matrix or not; the residual,
// where there is one, lies in scratch. Its work is that of an expert with its share of the tokens,
// where `left` of all are left.
struct TurnDemand {
  size_t left = 1;
  bool gram = true, residual = true;
};
Needs TurnExpertNeeds(const Context& context, const SublayerSpec& layer, const TurnDemand& demand,
                      size_t hidden, size_t window, const TokenPages& tokens);

}  // namespace struprune
