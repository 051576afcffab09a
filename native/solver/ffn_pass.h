// Passes of an FFN's least squares over pages of tokens: everything with a dimension of tokens is
// here.
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "core/paged_matrix.h"
#include "core/row_chunks.h"
#include "solver/ffn_map.h"
#include "tiles/statistics.h"

namespace struprune {

struct FfnTokens {
  std::shared_ptr<PagedMatrix> inputs;   // [tokens, map.inputs] X
  std::shared_ptr<PagedMatrix> targets;  // [tokens, map.outputs] Y
};

// Throws ERR_ARGUMENT where they do not fit each other.
void CheckShapes(const FfnMap& map, const FfnTokens& tokens);

// Most tokens that a pass works on at once; a multiple of Statistics::TokenPage().
inline constexpr size_t kFfnPage = 2048;
static_assert(kFfnPage % Statistics::kExactPage == 0 && kFfnPage % Statistics::kRoundedPage == 0);

// Most rows of a page that one task handles.
inline size_t FfnChunk(const Context& context) { return ChunkRows(context, kFfnPage); }

// Of the passes below beside the weights and the sums, over some pages of the tokens.
Needs GradientNeeds(const Context& context, FfnShape shape, const TokenPages& tokens);
Needs ProductNeeds(const Context& context, FfnShape shape, const TokenPages& tokens, bool sums);
Needs HiddenNeeds(const Context& context, FfnShape shape, const TokenPages& tokens);

struct FfnPage {
  size_t row, rows;
};
// All pages of the tokens, in order; each lies in one page of the matrices.
std::vector<FfnPage> AllPages(const FfnTokens& tokens);
size_t TokensOf(const std::vector<FfnPage>& pages);
// Pages at even distances with about `count` tokens, the first being page `offset` (modulo the
// distance).
std::vector<FfnPage> ChoosePages(const FfnTokens& tokens, size_t count, size_t offset);

// One a part of the input weights.
using PartSums = std::vector<std::unique_ptr<Statistics>>;

struct FfnError {
  double error = 0;   // ‖Y − Ŷ‖²
  double target = 0;  // ‖Y‖²
};

// Adds to sums[part] X, with as residual the rows of Jᵀ(Y − Ŷ): the cross product is the gradient
// [width, inputs]. Adds to moments[part] the slopes [tokens, width].
FfnError AddGradient(Context& context, const FfnMap& map, const FfnTokens& tokens,
                     const std::vector<FfnPage>& pages, const PartSums& sums,
                     const PartSums& moments);

// ‖J v‖² for a change v of map.in. Where `sums` is not empty its parts receive X and the rows of
// Jᵀ J v.
double AddProduct(Context& context, const FfnMap& map, const FfnTokens& tokens,
                  const std::vector<FfnPage>& pages, const InputWeights& v, const PartSums& sums);

// Tells the page store that a pass over a page comes, every chunk of which reads these weights, one
// after the other.
void AnnouncePage(const Context& context, const FfnPage& page,
                  std::initializer_list<PagedMatrix*> tokens,
                  std::initializer_list<const InputWeights*> inputs,
                  std::initializer_list<PagedMatrix*> outputs);

// Adds P of all tokens to `sums`, with as residual Y − Ŷ: what a refit of the output map needs.
void AddHidden(Context& context, const FfnMap& map, const FfnTokens& tokens, Statistics& sums);

}  // namespace struprune
