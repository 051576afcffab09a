// The backward pass through one block, streamed by groups of whole windows. The block's forward is
// computed again from its input, so that nothing but hidden states is ever kept between blocks.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "core/needs.h"
#include "core/paged_matrix.h"
#include "model/block.h"
#include "tiles/statistics.h"

namespace struprune {

// A change of low rank: W[rows, cols] + left[rows, rank] right[rank, cols], which the weight holds
// already. A backward pass sums its gradients as cross products: dL/d(left) in those of left_sums,
// [rank] wide with a residual of [rows], and dL/d(right) in those of right_sums, [cols] wide with a
// residual of [rank].
struct LowRank {
  size_t rank = 0;
  Buffer<float> left, right;
  Statistics* left_sums = nullptr;
  Statistics* right_sums = nullptr;
};

// Sums of a sublayer's rows that a backward pass makes beside; null: not wanted.
struct GradientSums {
  // Receives the rows delta = dL/dy of the output y as it is added to the stream, [hidden] wide:
  // docs/method.md, section 5. Where no norm follows, that is the gradient of the stream after the
  // addition, else the gradient of the first norm's input.
  Statistics* output = nullptr;
  // Receives the rows that go into the output map, as wide as it has columns.
  Statistics* input = nullptr;
  // By part, of the weights that are tuned: a norm, the output map or its bias. Each weight is
  // taken times a factor of 1 for every entry of a vector, for every column of a matrix, and
  // Statistics as wide receive dL/d(factor) of every token (and head) as rows: their sums are the
  // gradient.
  std::array<Statistics*, kParts> factors{};
  // By part, of matrices.
  std::array<const LowRank*, kParts> changes{};
};

struct BackwardRun {
  size_t window = 0;                    // tokens of a sequence; the matrices hold whole windows
  PagedMatrix* inputs = nullptr;        // [at least tokens, hidden] hidden states before the block
  PagedMatrix* gradient = nullptr;      // [tokens, hidden] in: dL/d(output), out: dL/d(input)
  std::vector<GradientSums> sums = {};  // one a sublayer, or none at all
};

// Throws ERR_ARGUMENT when shapes disagree, ERR_NAN when a gradient is not finite, ERR_BUDGET,
// ERR_ABORTED.
void BackwardBlock(const Block& block, const BackwardRun& run);
// Of which tensors the factors are summed: of none, of the output maps alone, of all.
enum class Factored { kNone, kOutputs, kAll };
// Of BackwardBlock beside the block and the statistics, which are of those sizes, with deltas and
// inputs of every sublayer (of output maps' factors alone without them), and with changes of that
// rank, or 0, of all matrices, whose numbers are counted.
Needs BackwardNeeds(const Context& context, const BlockSpec& spec, size_t window,
                    const TokenPages& tokens, std::span<const Statistics::Sizes> sums,
                    Factored factored = Factored::kNone, size_t rank = 0);

}  // namespace struprune
