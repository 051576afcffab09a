// Products with a weight of which only the strips at hand are in memory.
#pragma once

#include <span>

#include "ops/gemm_amx.h"
#include "ops/weight_strips.h"

namespace struprune {

// out[rows, n] = alpha x[rows, k] Wᵀ + beta out for W[n, k].
void StripProduct(Context& context, PagedMatrix& weight, size_t rows, float alpha, const float* x,
                  float beta, float* out);

// Of one x with several weights, which it is packed for once where they are packed.
struct WeightTerm {
  PagedMatrix* weight;
  float* out;
};
void StripProducts(Context& context, std::span<const WeightTerm> terms, size_t rows, float alpha,
                   const float* x, float beta);

// x[rows, k] Wᵀ of two weights that are cut alike, joined (ops/gemm_amx.h); their `out` are
// scratch. False, and nothing done, where one of them is not packed.
using StripJoin = AmxJoin;
bool JoinedStripProducts(Context& context, const WeightTerm& first, const WeightTerm& second,
                         size_t rows, const float* x, const StripJoin& join);

// out[rows, k] = x[rows, n] W + beta out for W[n, k]; strips are summed in order.
void StripProductBack(Context& context, PagedMatrix& weight, size_t rows, const float* x,
                      float beta, float* out);

}  // namespace struprune
