// How far one model's next-token distributions are from another's, token by token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/paged_matrix.h"
#include "model/ends.h"

namespace struprune {

// A model's head and what it reads: hidden[at least row + tokens, hidden] after the last block.
struct HeadRun {
  const EndsSpec* ends = nullptr;
  PagedMatrix* hidden = nullptr;
  size_t row = 0;  // of the first token
};

// All [tokens]; rows without a target are NaN, or -1.
struct TokenComparison {
  std::vector<double> nll;    // -log q(target), nats
  std::vector<double> kl;     // KL(p ‖ q) = sum of p (log p - log q) over the vocabulary, >= 0
  std::vector<int32_t> best;  // likeliest token by q
  std::vector<int32_t> reference_best;  // by p
};

// p: next-token distribution of `reference`, q: of `model`, at the positions with a target
// (targets[tokens], -1 = none). Both heads stream by tiles of the vocabulary, so that no row of
// logits is ever whole. Throws ERR_ARGUMENT where vocabularies or shapes differ, ERR_NAN.
TokenComparison CompareTokens(Context& context, const HeadRun& reference, const HeadRun& model,
                              std::span<const int32_t> targets);

}  // namespace struprune
