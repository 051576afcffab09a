// Passes of an FFN's least squares over pages of tokens: everything with a dimension of tokens is
// here.
#pragma once

#include <memory>
#include <vector>

#include "core/paged_matrix.h"
#include "ops/statistics.h"
#include "solver/ffn_map.h"

namespace struprune {

struct FfnTokens {
  std::shared_ptr<PagedMatrix> inputs;   // [tokens, map.inputs] X
  std::shared_ptr<PagedMatrix> targets;  // [tokens, map.outputs] Y
};

// Throws ERR_ARGUMENT where they do not fit each other.
void CheckShapes(const FfnMap& map, const FfnTokens& tokens);

// Tokens that a pass has in memory at once; a multiple of Statistics::kTokenPage.
inline constexpr size_t kFfnPage = 2048;

// First rows of about `tokens` ÷ kFfnPage pages at even distances, the first being page `offset`
// (modulo the distance).
std::vector<size_t> ChoosePages(size_t rows, size_t tokens, size_t offset);

struct FfnError {
  double error = 0;   // ‖Y − Ŷ‖²
  double target = 0;  // ‖Y‖²
};

// Adds to `sums` X, with as residual the rows of Jᵀ(Y − Ŷ): the cross product is the gradient
// [map.rows(), inputs]. Adds to moments[part] the slopes [tokens, width].
FfnError AddGradient(Context& context, const FfnMap& map, const FfnTokens& tokens,
                     const std::vector<size_t>& pages, Statistics& sums,
                     const std::vector<std::unique_ptr<Statistics>>& moments);

// ‖J v‖² for v[map.rows(), inputs], a change of map.in. Where `sums` is given it receives X and the
// rows of Jᵀ J v.
double AddProduct(Context& context, const FfnMap& map, const FfnTokens& tokens,
                  const std::vector<size_t>& pages, const float* v, Statistics* sums);

// Adds P of all tokens to `sums`, with as residual Y − Ŷ: what a refit of the output map needs.
void AddHidden(Context& context, const FfnMap& map, const FfnTokens& tokens, Statistics& sums);

}  // namespace struprune
