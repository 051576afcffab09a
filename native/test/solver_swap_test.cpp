#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "expect_error.h"
#include "solver/swap.h"
#include "solver_support.h"

namespace struprune {
namespace {

using test::ColumnMask;
using test::ExpectError;
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

// The first half of the channels, the start of the tests below.
std::vector<uint8_t> FirstHalf(size_t groups) {
  std::vector<uint8_t> keep(groups, 0);
  std::fill_n(keep.begin(), groups / 2, 1);
  return keep;
}

// From the first half to where no exchange helps; both errors are what elimination finds.
SwapResult SettledSwaps(const SiteData& data, double lambda, bool bias) {
  const SiteProblem site(data.Input(SmallTiles(), lambda, 1));
  const SwapResult result = SwapPass(site, FirstHalf(data.in), {.bias = bias});
  EXPECT_TRUE(result.settled);
  EXPECT_EQ(result.ridge_raised, 0);
  EXPECT_LE(result.after, result.before);
  const auto penalised = [&](const std::vector<uint8_t>& keep) {
    return RefitByElimination(data, keep, lambda, bias, false).penalised;
  };
  const double before = penalised(FirstHalf(data.in));
  EXPECT_NEAR(result.before, before, 1e-8 * before);
  EXPECT_NEAR(result.after, penalised(result.keep), 1e-8 * before);
  return result;
}

TEST(Swap, DeadChannelsLeave) {
  SiteData data = RandomSite({.tokens = 80, .in = 10, .seed = 28});
  for (auto& row : data.x) row[1] = row[7] = 0;  // one at first kept, one at first removed
  data.Accumulate();
  for (const bool bias : {false, true}) {
    const SwapResult result = SettledSwaps(data, 0.05, bias);
    EXPECT_EQ(result.keep[1], 0);
    EXPECT_EQ(result.keep[7], 0);
  }
}

TEST(Swap, NothingAliveIsStillFinite) {
  SiteData data = RandomSite({.tokens = 20, .in = 6, .seed = 29});
  for (auto& row : data.x) row.assign(6, 0.0);
  data.Accumulate();
  const SwapResult result =
      SwapPass(SiteProblem(data.Input(SmallTiles(), 0.05, 1)), FirstHalf(6), {});
  EXPECT_TRUE(std::isfinite(result.before));
  EXPECT_LE(result.after, result.before);
  EXPECT_EQ(std::count(result.keep.begin(), result.keep.end(), 1), 3);
}

TEST(Swap, OneMassiveChannelIsTakenBackAndStays) {
  for (const size_t massive : {5, 20}) {  // at first kept, and at first removed
    SiteData data = RandomSite({.tokens = 200, .in = 24, .seed = 30});
    for (auto& row : data.x) row[massive] *= 1e4;
    data.Accumulate();
    for (const bool bias : {false, true}) {
      const SwapResult result = SettledSwaps(data, 0.05, bias);
      EXPECT_EQ(result.keep[massive], 1);
      EXPECT_FALSE(result.swaps.empty());
    }
  }
}

TEST(Swap, DuplicatedChannelsAndFewTokens) {
  SiteData twins = RandomSite({.tokens = 200, .in = 12, .seed = 31});
  for (auto& row : twins.x) row[4] = row[1];  // rank deficient, both kept at first
  twins.Accumulate();
  const SiteData few = RandomSite({.tokens = 5, .in = 12, .seed = 34});
  for (const bool bias : {false, true}) {
    const SwapResult result = SettledSwaps(twins, 1e-6, bias);
    EXPECT_LE(result.keep[1] + result.keep[4], 1) << "one of a pair costs nothing";
    SettledSwaps(few, 1e-6, bias);
  }
}

TEST(Swap, AFailingCholeskyRaisesTheRidgeAndSaysSo) {
  // Not a Gram: indefinite, so only a larger ridge can factor it.
  SiteData data = RandomSite({.tokens = 50, .in = 4, .seed = 32});
  data.gram.assign(16, 1.0);
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1.0 - 1e-3;
  const auto at = [&](double lambda, const std::vector<uint8_t>& keep) {
    return SwapPass(SiteProblem(data.Input(SmallTiles(), lambda, 1)), keep, {});
  };
  // A single kept column can always be factored, but not what is removed.
  for (const std::vector<uint8_t>& keep :
       {std::vector<uint8_t>{1, 1, 0, 0}, std::vector<uint8_t>{1, 0, 0, 0}}) {
    const SwapResult raised = at(1e-5, keep), given = at(1e-2, keep);
    EXPECT_EQ(raised.ridge_raised, 3);
    EXPECT_NEAR(raised.lambda, 1e-2, 1e-12);
    EXPECT_EQ(given.ridge_raised, 0);
    // The result is that of the ridge it names.
    EXPECT_EQ(raised.keep, given.keep);
    EXPECT_NEAR(raised.before, given.before, 1e-9 * std::abs(given.before));
    EXPECT_NEAR(raised.after, given.after, 1e-9 * std::abs(given.before));
  }
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1e-9;
  ExpectError([&] { at(1e-5, {1, 1, 0, 0}); }, "ERR_NUMERIC", "could not be factored");
}

}  // namespace
}  // namespace struprune
