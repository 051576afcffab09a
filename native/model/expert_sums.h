// What each expert does for the output of its sublayer, summed over tokens.
#pragma once

#include <span>

#include "model/forward.h"

namespace struprune {

// Columns of the sums, in this order: for each expert the norm of what it adds to a token, its
// weight included; whether the token passes it; and by how much the squared error of the output
// would grow if it went too. Then the squared error of the output without `gone`, and the squared
// norm of the output with all. The output is that of the experts which tokens are routed to, less
// a shared one, which stays.
inline size_t ExpertSumsWidth(const ExpertsSpec& spec) { return 3 * spec.count + 2; }

// Sums over hidden[tokens, hidden], which stays as it is, into statistics of that width without a
// Gram matrix. gone[count]: 1 for experts that are gone, as if their router's logits were -inf.
// Nothing grows where no more than top_k are left. ERR_ARGUMENT where fewer are. residual[tokens,
// hidden] receives what is missing of the output without `gone`; null: nothing does.
void SumExperts(const Sublayer& layer, size_t window, PagedMatrix& hidden,
                std::span<const uint8_t> gone, Statistics& statistics,
                PagedMatrix* residual = nullptr);
// The residual, where there is one, lies in scratch.
Needs SumExpertsNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      size_t window, const TokenPages& tokens, bool residual);

}  // namespace struprune
