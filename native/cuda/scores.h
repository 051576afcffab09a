// Scores of tokens while a vocabulary passes by in pieces.
#pragma once

#include "cuda/device.h"

namespace struprune::cuda {

// See abi.h.
void ScoresStart(Device&, int64_t tokens, const TokenStates* states);
void ScoresAdd(Device&, int64_t tokens, int64_t first, int64_t count, float* logits, int64_t stride,
               int32_t kept, float cap, const int32_t* targets, const TokenStates* states);
void ScoresFinish(Device&, int64_t tokens, const TokenStates* states, double* log_sum);
void ScaleRows(Device&, int64_t rows, int64_t cols, const float* factor, float* x);

}  // namespace struprune::cuda
