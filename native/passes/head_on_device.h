// A model's head on a GPU: scores of tokens (model/ends.h) and the means of its rows that
// divergences need (passes/divergence.h). The same contracts, other rounding.
#pragma once

#include <span>
#include <vector>

#include "backend/cuda_library.h"
#include "model/ends.h"
#include "passes/token_scores.h"

namespace struprune {

struct HeadPlan {
  size_t flight = 0;  // tokens on the GPU at a time
  size_t passes = 1;  // over the vocabulary: flights of all tokens
  uint64_t device_bytes = 0, pinned_bytes = 0;
};

// Rows of the vocabulary that go to the GPU at a time.
inline constexpr size_t kHeadPiece = 1024;

// The fewest passes that the free part of the GPU's budget allows. Throws ERR_BUDGET when it is too
// small for any. `tokens` > 0.
HeadPlan PlanHead(const CudaDevice& gpu, size_t width, size_t vocab, size_t tokens, bool means);

// ScoreTokens. The table streams through pinned memory, which is charged to the host's budget.
// Throws what ScoreTokens throws, ERR_BUDGET for the GPU's budget too, and ERR_DEVICE.
TokenScores ScoreTokensOnDevice(const CudaDevice& gpu, Context& context, const EndsSpec& spec,
                                PagedMatrix& hidden, std::span<const int32_t> targets);
// Both throw ERR_BUDGET where the GPU's budget is too small.
Needs ScoreNeedsOnDevice(const CudaDevice& gpu, const Context& context, const EndsShape& ends,
                         const TokenPages& tokens);
Needs ExpectRowsNeedsOnDevice(const CudaDevice& gpu, const Context& context, const EndsShape& ends,
                              const TokenPages& tokens);

// mean[tokens, embedding_width] as of ExpectHead; log of the sum of exp(logit) [tokens].
std::vector<double> ExpectRowsOnDevice(const CudaDevice& gpu, Context& context,
                                       const EndsSpec& spec, PagedMatrix& hidden,
                                       PagedMatrix& mean);

}  // namespace struprune
