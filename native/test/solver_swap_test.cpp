#include <gtest/gtest.h>

#include <algorithm>

#include "solver/swap.h"
#include "solver_support.h"

namespace struprune {
namespace {

using test::ColumnMask;
using test::RandomSite;
using test::RefitByElimination;
using test::SiteData;
using test::SiteShape;
using test::SmallTiles;

struct SwapCase {
  const char* name;
  SiteShape shape;
  size_t group;
  bool bias;
  bool fisher;
};
class SwapOracle : public testing::TestWithParam<SwapCase> {};

// From a poor start, follows the best exchange as full refits see it, to where none helps.
TEST_P(SwapOracle, TakesTheBestExchangeUntilNoneHelps) {
  const SwapCase& c = GetParam();
  const SiteData data = RandomSite(c.shape);
  const SiteProblem site(data.Input(SmallTiles(), 0.05, c.group));
  const size_t groups = site.groups();
  std::vector<uint8_t> keep(groups, 0);
  for (size_t g = 0; g < groups / 2; ++g) keep[g] = 1;
  const std::vector<uint8_t> start = keep;

  SwapOptions options;
  options.bias = c.bias;
  options.metric = c.fisher ? Metric::kFisher : Metric::kPlain;
  const SwapResult result = SwapPass(site, start, options);

  const auto penalised = [&](const std::vector<uint8_t>& mask) {
    return RefitByElimination(data, ColumnMask(mask, c.group), 0.05, c.bias, c.fisher).penalised;
  };
  const double first = penalised(keep);
  double current = first;
  size_t swaps = 0;
  for (;; ++swaps) {
    double best = current;
    std::pair<int32_t, int32_t> pair;
    for (size_t i = 0; i < groups; ++i) {
      for (size_t r = 0; r < groups; ++r) {
        if (!keep[i] || keep[r]) continue;
        std::vector<uint8_t> mask = keep;
        mask[i] = 0;
        mask[r] = 1;
        const double error = penalised(mask);
        if (error < best * (1 - 1e-9)) {
          best = error;
          pair = {static_cast<int32_t>(i), static_cast<int32_t>(r)};
        }
      }
    }
    if (best == current) break;
    ASSERT_LT(swaps, result.swaps.size());
    EXPECT_EQ(result.swaps[swaps], pair);
    keep[pair.first] = 0;
    keep[pair.second] = 1;
    current = best;
  }
  EXPECT_GT(swaps, 0u);
  EXPECT_EQ(result.swaps.size(), swaps);
  EXPECT_EQ(result.keep, keep);
  EXPECT_TRUE(result.settled);
  const double unit = c.fisher ? 0.5 / data.tokens : 1;
  // The Fisher metric leaves a constant out when R is given; the fall does not have it.
  EXPECT_NEAR((result.before - result.after) / unit, first - current, 1e-8 * first);
  if (!c.shape.residual) {
    EXPECT_NEAR(result.after / unit, current, 1e-8 * first);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sites, SwapOracle,
    testing::Values(SwapCase{"columns", {.in = 14, .seed = 3}, 1, false, false},
                    SwapCase{"bias", {.in = 12, .seed = 4}, 1, true, false},
                    SwapCase{"residual", {.in = 12, .residual = true, .seed = 5}, 1, true, false},
                    SwapCase{"fisher", {.in = 12, .fisher = true, .seed = 6}, 1, false, true},
                    SwapCase{"blocks", {.in = 16, .seed = 7}, 2, false, false},
                    SwapCase{"blocks_fisher",
                             {.in = 24, .residual = true, .fisher = true, .seed = 9},
                             3,
                             true,
                             true}),
    [](const auto& info) { return info.param.name; });

TEST(Swap, StopsAtItsLimitAndSaysSo) {
  const SiteData data = RandomSite({.in = 14, .seed = 3});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  std::vector<uint8_t> keep(14, 0);
  std::fill_n(keep.begin(), 7, 1);
  SwapOptions options;
  options.max_swaps = 1;
  const SwapResult result = SwapPass(site, keep, options);
  EXPECT_EQ(result.swaps.size(), 1u);
  EXPECT_FALSE(result.settled);
  EXPECT_LT(result.after, result.before);
  EXPECT_EQ(std::count(result.keep.begin(), result.keep.end(), 1), 7);
}

TEST(Swap, NothingToExchangeIsSettled) {
  const SiteData data = RandomSite({.in = 5, .seed = 4});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  for (const uint8_t value : {0, 1}) {
    const SwapResult result = SwapPass(site, std::vector<uint8_t>(5, value), {});
    EXPECT_TRUE(result.settled);
    EXPECT_TRUE(result.swaps.empty());
  }
}

}  // namespace
}  // namespace struprune
