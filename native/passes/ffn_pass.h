// Passes of an FFN's least squares over pages of tokens: everything with a dimension of tokens is
// here.
#pragma once

#include <initializer_list>
#include <vector>

#include "core/row_chunks.h"
#include "passes/ffn_tokens.h"

namespace struprune {

// Most rows of a page that one task handles.
inline size_t FfnChunk(const Context& context) { return ChunkRows(context, kFfnPage); }

// Of the passes below beside the weights and the sums, over some pages of the tokens.
Needs GradientNeeds(const Context& context, FfnShape shape, const TokenPages& tokens);
Needs ProductNeeds(const Context& context, FfnShape shape, const TokenPages& tokens, bool sums);
Needs HiddenNeeds(const Context& context, FfnShape shape, const TokenPages& tokens);

// Of PartSums of X, with the products with what there is by channel.
std::vector<Statistics::Sizes> SizesOf(const FfnShape& shape, bool gram);

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
