// The tokens of an FFN's least squares: their matrices, their pages, and what passes sum of them.
#pragma once

#include <memory>
#include <vector>

#include "core/paged_matrix.h"
#include "core/segments.h"
#include "passes/ffn_map.h"
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

struct FfnPage {
  size_t row, rows;
};
// That all passes over the tokens sum in, however few pages they take.
Segments SegmentsOf(const FfnTokens& tokens);
// All pages of the tokens, in order; each lies in one page of the matrices.
std::vector<FfnPage> AllPages(const FfnTokens& tokens);
// Those of them that are here, where ranks share the tokens.
std::vector<FfnPage> HeldPages(const FfnTokens& tokens, std::vector<FfnPage> pages);
size_t TokensOf(const std::vector<FfnPage>& pages);
// Pages at even distances with about `count` tokens, the first being page `offset` (modulo the
// distance).
std::vector<FfnPage> ChoosePages(const FfnTokens& tokens, size_t count, size_t offset);

// One a part of the input weights.
using PartSums = std::vector<std::unique_ptr<Statistics>>;

struct FfnError {
  void operator+=(const FfnError& other) {
    error += other.error;
    target += other.target;
  }
  double error = 0;   // ‖Y − Ŷ‖²
  double target = 0;  // ‖Y‖²
};

}  // namespace struprune
