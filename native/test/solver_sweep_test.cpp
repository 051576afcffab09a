#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "solver/sweep.h"
#include "solver_support.h"
#include "tile_support.h"

namespace struprune {
namespace {

using test::ColumnMask;
using test::MakeSpace;
using test::RandomSite;
using test::RefitByElimination;
using test::SiteData;
using test::SiteShape;
using test::SmallTiles;

struct SweepCase {
  const char* name;
  SiteShape shape;
  size_t group;
  double lambda;
  bool bias;
  bool fisher_selection;
  bool fisher_curve;
};

class SweepOracle : public testing::TestWithParam<SweepCase> {};

// Every removal by trying all remaining groups with a full refit each.
TEST_P(SweepOracle, MatchesExhaustiveRemoval) {
  const SweepCase& c = GetParam();
  const SiteData data = RandomSite(c.shape);
  const SiteProblem site(data.Input(SmallTiles(), c.lambda, c.group));
  SweepOptions options;
  options.bias = c.bias;
  options.selection = c.fisher_selection ? Metric::kFisher : Metric::kPlain;
  options.curve = c.fisher_curve ? Metric::kFisher : Metric::kPlain;
  options.batch = 3;
  const SweepResult result = Sweep(site, options);

  const size_t groups = site.groups();
  ASSERT_EQ(result.order.size(), groups);
  ASSERT_EQ(result.error.size(), groups + 1);
  const double selection_unit = c.fisher_selection ? 0.5 / data.tokens : 1;
  const double curve_unit = c.fisher_curve ? 0.5 / data.tokens : 1;
  // In the Fisher metric the term in R alone is left out.
  double constant = 0;
  if (c.fisher_curve && c.shape.residual) {
    for (const auto& r : data.residual) {
      for (size_t a = 0; a < data.out; ++a) {
        for (size_t b = 0; b < data.out; ++b) constant += data.fisher[a][b] * r[a] * r[b];
      }
    }
  }
  std::vector<uint8_t> keep(groups, 1);
  const auto refit = [&](bool fisher) {
    return RefitByElimination(data, ColumnMask(keep, c.group), c.lambda, c.bias, fisher);
  };
  double before = refit(c.fisher_selection).penalised;
  const double scale = std::max(1.0, site.target_norm_sq(options.curve) / curve_unit);
  EXPECT_NEAR(result.error[0] / curve_unit, refit(c.fisher_curve).error - constant, 1e-9 * scale);
  for (size_t k = 0; k < groups; ++k) {
    double best = std::numeric_limits<double>::infinity();
    size_t best_group = 0;
    for (size_t g = 0; g < groups; ++g) {
      if (!keep[g]) continue;
      keep[g] = 0;
      const double after = refit(c.fisher_selection).penalised;
      keep[g] = 1;
      if (after < best) {
        best = after;
        best_group = g;
      }
    }
    ASSERT_EQ(result.order[k], static_cast<int32_t>(best_group)) << "removal " << k;
    keep[best_group] = 0;
    EXPECT_NEAR(result.cost[k] / selection_unit, best - before, 1e-8 * std::abs(best));
    EXPECT_NEAR(result.error[k + 1] / curve_unit, refit(c.fisher_curve).error - constant,
                1e-9 * scale);
    before = best;
  }
  EXPECT_LE(result.drift, 1e-9);
  EXPECT_EQ(result.refactorings, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Sites, SweepOracle,
    testing::Values(
        SweepCase{"columns", {.in = 12}, 1, 0.05, false, false, false},
        SweepCase{"bias", {.in = 10, .bias = true, .seed = 2}, 1, 0.05, true, false, false},
        SweepCase{"residual", {.in = 9, .residual = true, .seed = 3}, 1, 0.02, false, false, false},
        SweepCase{
            "residual_bias", {.in = 9, .residual = true, .seed = 4}, 1, 0.02, true, false, false},
        SweepCase{"fisher", {.in = 10, .fisher = true, .seed = 5}, 1, 0.05, false, true, true},
        SweepCase{
            "fisher_curve", {.in = 10, .fisher = true, .seed = 6}, 1, 0.05, false, false, true},
        SweepCase{
            "fisher_selection", {.in = 10, .fisher = true, .seed = 7}, 1, 0.05, true, true, false},
        SweepCase{"fisher_residual",
                  {.in = 8, .residual = true, .fisher = true, .seed = 8},
                  1,
                  0.05,
                  true,
                  true,
                  true},
        SweepCase{"fisher_residual_no_bias",
                  {.in = 8, .residual = true, .fisher = true, .seed = 8},
                  1,
                  0.05,
                  false,
                  true,
                  true},
        SweepCase{"blocks", {.in = 15, .seed = 9}, 3, 0.05, false, false, false},
        SweepCase{"blocks_all",
                  {.in = 12, .bias = true, .residual = true, .fisher = true, .seed = 10},
                  4,
                  0.01,
                  true,
                  true,
                  true},
        SweepCase{"few_tokens", {.tokens = 5, .in = 11, .seed = 11}, 1, 0.05, false, false, false}),
    [](const auto& info) { return info.param.name; });

TEST(Sweep, BatchSizeDoesNotChangeAnything) {
  const SiteData data =
      RandomSite({.tokens = 300, .in = 96, .out = 20, .fisher = true, .seed = 21});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  SweepOptions options;
  options.batch = 1;
  const SweepResult one = Sweep(site, options);
  for (const size_t batch : {2, 7, 64, 1000}) {
    options.batch = batch;
    const SweepResult other = Sweep(site, options);
    EXPECT_EQ(one.order, other.order);
    EXPECT_LE(other.drift, 1e-10);
  }
  EXPECT_LE(one.drift, 1e-10);
}

void SameOnAnyThreads(const SiteData& data, size_t tile, const SweepOptions& options) {
  const SweepResult one = Sweep(SiteProblem(data.Input(MakeSpace(tile, 0, 1), 0.05, 1)), options);
  const SweepResult four = Sweep(SiteProblem(data.Input(MakeSpace(tile, 0, 4), 0.05, 1)), options);
  EXPECT_EQ(one.order, four.order);
  EXPECT_EQ(one.cost, four.cost);
  EXPECT_EQ(one.error, four.error);
}

TEST(Sweep, ThreadsDoNotChangeTheBits) {
  SameOnAnyThreads(RandomSite({.tokens = 200, .in = 150, .out = 40, .seed = 22}), 3, {});
}

// Whose factors are so many that threads share them out: two strips from the 167th removal on.
TEST(Sweep, ThreadsInALargeBatchDoNotChangeTheBits) {
  SweepOptions options;
  options.batch = options.max_removed = 200;
  SameOnAnyThreads(RandomSite({.tokens = 80, .in = 600, .out = 40, .seed = 22}), 64, options);
}

TEST(Sweep, StopsWhereAskedWithTheSameBeginning) {
  const SiteData data = RandomSite({.tokens = 100, .in = 40, .residual = true, .seed = 23});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 2));
  const SweepResult full = Sweep(site, {});
  SweepOptions options;
  options.max_removed = 7;
  const SweepResult part = Sweep(site, options);
  ASSERT_EQ(part.order.size(), 7u);
  ASSERT_EQ(part.error.size(), 8u);
  for (size_t k = 0; k < 7; ++k) {
    EXPECT_EQ(part.order[k], full.order[k]);
    EXPECT_NEAR(part.cost[k], full.cost[k], 1e-9 * full.error.back());
    EXPECT_NEAR(part.error[k + 1], full.error[k + 1], 1e-9 * full.error.back());
  }
  options.max_removed = 0;
  const SweepResult none = Sweep(site, options);
  EXPECT_TRUE(none.order.empty());
  EXPECT_NEAR(none.error[0], full.error[0], 1e-9 * full.error.back());
}

TEST(Sweep, DenseEndIsFreeAndCostsGrow) {
  const SiteData data = RandomSite({.tokens = 200, .in = 32, .out = 9, .seed = 24});
  const SweepResult result = Sweep(SiteProblem(data.Input(SmallTiles(), 1e-9, 1)), {});
  EXPECT_EQ(result.error[0], 0);  // C = W H: nothing is lost before the first removal
  for (const double cost : result.cost) EXPECT_GE(cost, 0);
  for (size_t k = 0; k < result.cost.size(); ++k) EXPECT_GE(result.error[k + 1], result.error[k]);
}

TEST(Sweep, CostsPerGroupChangeTheOrder) {
  const SiteData data = RandomSite({.tokens = 200, .in = 6, .seed = 25});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  SweepOptions options;
  const int32_t first = Sweep(site, options).order[0];
  options.group_costs.assign(6, 1.0);
  options.group_costs[first] = 1e-9;  // removing it frees next to nothing
  EXPECT_EQ(Sweep(site, options).order.back(), first);
}

TEST(Sweep, RefactorsFromAnExactStateWhenTheDriftIsTooLarge) {
  const SiteData data = RandomSite({.tokens = 100, .in = 12, .seed = 26});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  const SweepResult plain = Sweep(site, {});
  SweepOptions options;
  options.drift_tolerance = 0;  // no rounding error is small enough
  const SweepResult strict = Sweep(site, options);
  EXPECT_GT(strict.refactorings, 0);
  EXPECT_EQ(strict.order, plain.order);
  EXPECT_EQ(strict.drift, 0);

  const SiteData wide = RandomSite({.tokens = 100, .in = 60, .seed = 27});
  try {
    Sweep(SiteProblem(wide.Input(SmallTiles(), 0.05, 1)), options);
    FAIL() << "a drift that refactoring cannot bring down must be told";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "ERR_NUMERIC");
  }
}

TEST(Sweep, DeadChannelsGoFirst) {
  SiteData data = RandomSite({.tokens = 80, .in = 10, .seed = 28});
  for (auto& row : data.x) row[3] = row[7] = 0;
  data.Accumulate();
  for (const bool bias : {false, true}) {
    SweepOptions options;
    options.bias = bias;
    const SweepResult result = Sweep(SiteProblem(data.Input(SmallTiles(), 0.05, 1)), options);
    EXPECT_EQ(std::min(result.order[0], result.order[1]), 3);
    EXPECT_EQ(std::max(result.order[0], result.order[1]), 7);
    EXPECT_NEAR(result.error[2], 0, 1e-12 * result.error.back());
    for (const double error : result.error) EXPECT_TRUE(std::isfinite(error));
  }
}

TEST(Sweep, NothingAliveIsStillFinite) {
  SiteData data = RandomSite({.tokens = 20, .in = 6, .seed = 29});
  for (auto& row : data.x) row.assign(6, 0.0);
  data.Accumulate();
  const SweepResult result = Sweep(SiteProblem(data.Input(SmallTiles(), 0.05, 1)), {});
  ASSERT_EQ(result.order.size(), 6u);
  for (const double error : result.error) EXPECT_EQ(error, 0);
}

TEST(Sweep, OneMassiveChannelStaysToTheEnd) {
  SiteData data = RandomSite({.tokens = 200, .in = 24, .seed = 30});
  for (auto& row : data.x) row[5] *= 1e4;
  data.Accumulate();
  const SweepResult result = Sweep(SiteProblem(data.Input(SmallTiles(), 0.05, 1)), {});
  EXPECT_EQ(result.order.back(), 5);
  EXPECT_LE(result.drift, 1e-6);
  for (const double error : result.error) EXPECT_TRUE(std::isfinite(error));
}

TEST(Sweep, DuplicatedChannelsCostNothingOnce) {
  SiteData data = RandomSite({.tokens = 200, .in = 12, .seed = 31});
  for (auto& row : data.x) row[4] = row[9];  // rank deficient
  data.Accumulate();
  const SweepResult result = Sweep(SiteProblem(data.Input(SmallTiles(), 1e-6, 1)), {});
  EXPECT_TRUE(result.order[0] == 4 || result.order[0] == 9);
  EXPECT_LE(result.error[1], 1e-4 * result.error.back());
  EXPECT_LE(result.drift, 1e-6);
}

TEST(Sweep, AFailingCholeskyRaisesTheRidgeAndSaysSo) {
  // Not a Gram: indefinite, so only a larger ridge can factor it.
  SiteData data = RandomSite({.tokens = 50, .in = 4, .seed = 32});
  data.gram.assign(16, 1.0);
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1.0 - 1e-3;
  const SweepResult result = Sweep(SiteProblem(data.Input(SmallTiles(), 1e-5, 1)), {});
  EXPECT_EQ(result.ridge_raised, 3);
  EXPECT_NEAR(result.lambda, 1e-2, 1e-12);
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1e-9;
  try {
    Sweep(SiteProblem(data.Input(SmallTiles(), 1e-5, 1)), {});
    FAIL() << "a matrix that no ridge can factor must be told";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "ERR_NUMERIC");
    EXPECT_FALSE(error.mend().empty());
  }
}

TEST(Sweep, WrongArgumentsAreErrors) {
  SiteData data = RandomSite({.in = 6});
  const auto code = [&](const SiteData& d, const SweepOptions& options, size_t group) {
    try {
      Sweep(SiteProblem(d.Input(SmallTiles(), 0.05, group)), options);
    } catch (const Error& error) {
      return error.code();
    }
    return std::string("none");
  };
  EXPECT_EQ(code(data, {}, 4), "ERR_ARGUMENT");
  EXPECT_EQ(code(data, {.curve = Metric::kFisher}, 1), "ERR_ARGUMENT");
  EXPECT_EQ(code(data, {.group_costs = {1, 2}}, 1), "ERR_ARGUMENT");
  data.gram[3 * 6] = data.gram[3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code(data, {}, 1), "ERR_NAN");
}

TEST(Sweep, MemoryCountsAndRunsOut) {
  const SiteData data = RandomSite({.tokens = 100, .in = 64, .seed = 33});
  auto context = std::make_shared<Context>(1, 80'000);
  try {
    const TileSpace space{context, std::make_shared<PageStore>(context, 0, ""), 16};
    Sweep(SiteProblem(data.Input(space, 0.05, 1)), {});
    FAIL() << "the budget must hold";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "ERR_BUDGET");
  }
  EXPECT_EQ(context->budget->used(), 0u);
}

}  // namespace
}  // namespace struprune
