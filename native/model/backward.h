// The backward pass through one block, streamed by groups of whole windows. The block's forward is
// computed again from its input, so that nothing but hidden states is ever kept between blocks.
#pragma once

#include <array>
#include <cstddef>

#include "core/paged_matrix.h"
#include "model/block.h"
#include "tiles/statistics.h"

namespace struprune {

struct BackwardRun {
  size_t window = 0;                // tokens of a sequence; the matrices hold whole windows
  PagedMatrix* inputs = nullptr;    // [at least tokens, hidden] hidden states before the block
  PagedMatrix* gradient = nullptr;  // [tokens, hidden] in: dL/d(output), out: dL/d(input)
  // Receive the rows delta = dL/dy of a site's output y, the value of o or down as it is added to
  // the stream: docs/method.md, section 5. Before a norm follows (pre-norm) that is the gradient of
  // the stream after the addition; in a post-norm block, where a norm follows the addition, it is
  // the gradient of the norm's input. May be null; [hidden] wide otherwise.
  Statistics* at_ffn = nullptr;
  Statistics* at_attention = nullptr;
  // Receive the rows that go into down and o, [their columns] wide, which the forward makes on the
  // way. May be null.
  Statistics* into_ffn = nullptr;
  Statistics* into_attention = nullptr;
  // By role, of the weights that lib/stages/tune.ts tunes: a norm, o, down, or a bias of these
  // two. Each weight is taken times a factor of 1 for every entry of a vector, for every column of
  // a matrix, and Statistics as wide receive dL/d(factor) of every token (and head) as rows: their
  // sums are the gradient. May be null.
  std::array<Statistics*, kRoles> factors{};
};

// Throws ERR_ARGUMENT when shapes disagree, ERR_NAN when a gradient is not finite, ERR_BUDGET,
// ERR_ABORTED.
void BackwardBlock(const Block& block, const BackwardRun& run);

}  // namespace struprune
