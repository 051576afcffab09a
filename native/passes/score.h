// Scores of tokens by a model's head, from its last hidden states.
#pragma once

#include <cstdint>
#include <span>

#include "core/needs.h"
#include "core/paged_matrix.h"
#include "model/ends.h"
#include "passes/token_scores.h"

namespace struprune {

// -log softmax(logits)[target] of every row, nats; targets[rows], -1 = none, or empty. Logits live
// one tile of tokens × vocabulary at a time. On the context's GPU where it has one.
TokenScores ScoreTokens(Context& context, const EndsSpec& spec, PagedMatrix& hidden,
                        std::span<const int32_t> targets);
Needs ScoreNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens);

}  // namespace struprune
