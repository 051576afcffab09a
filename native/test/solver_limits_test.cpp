// The solver gives the same bits whatever part of its matrices is in memory.
#include <gtest/gtest.h>

#include "solver/admm.h"
#include "solver/refit.h"
#include "solver/swap.h"
#include "solver/sweep.h"
#include "solver/sweep_state.h"
#include "solver_support.h"
#include "tile_support.h"

namespace struprune {
namespace {

using test::MakeSpace;
using test::RandomSite;
using test::SiteData;
using test::SiteShape;
using test::WeightOf;

constexpr size_t kThreads = 2;
// An element-wise step of ADMM pins four tiles a worker.
constexpr size_t kFewest = 4 * kThreads;

struct Case {
  const char* name;
  SiteShape shape;
  size_t group;
  bool bias;
};
class Limits : public testing::TestWithParam<Case> {
 protected:
  // What `solve` makes of the site with everything in memory, with the fewest tiles, and between.
  template <typename Solve>
  void ExpectSameBits(Solve solve) const {
    const SiteData data = RandomSite(GetParam().shape);
    const auto at = [&](size_t resident) {
      const TileSpace space = MakeSpace(8, resident, kThreads);
      const auto site = std::make_shared<SiteProblem>(data.Input(space, 0.05, GetParam().group));
      const std::vector<double> bits = solve(site);
      EXPECT_EQ(space.store->traffic().evictions > 0, resident != 0);
      return bits;
    };
    const auto all = at(0);
    EXPECT_EQ(at(kFewest), all);
    EXPECT_EQ(at(2 * kFewest + 1), all);
    // As many as let a sweep keep a panel of rows.
    EXPECT_EQ(at(4 * kFewest), all);
  }

  std::vector<uint8_t> EveryThirdRemoved() const {
    std::vector<uint8_t> keep(GetParam().shape.in / GetParam().group, 1);
    for (size_t g = 1; g < keep.size(); g += 3) keep[g] = 0;
    return keep;
  }
};

TEST_P(Limits, Sweep) {
  ExpectSameBits([&](const auto& site) {
    SweepOptions options{.bias = GetParam().bias, .batch = 5};
    if (GetParam().shape.fisher) options.curve = Metric::kFisher;
    const SweepResult result = Sweep(*site, options);
    std::vector<double> bits(result.order.begin(), result.order.end());
    bits.insert(bits.end(), result.cost.begin(), result.cost.end());
    bits.insert(bits.end(), result.error.begin(), result.error.end());
    return bits;
  });
}

TEST_P(Limits, Refit) {
  ExpectSameBits([&](const auto& site) {
    const Refit refit = RefitKept(*site, EveryThirdRemoved(), GetParam().bias);
    const std::vector<float> weight = WeightOf(refit);
    std::vector<double> bits(weight.begin(), weight.end());
    bits.insert(bits.end(), refit.bias.begin(), refit.bias.end());
    bits.push_back(refit.error);
    bits.push_back(refit.fisher_loss.value_or(0));
    return bits;
  });
}

TEST_P(Limits, Admm) {
  ExpectSameBits([&](const auto& site) {
    AdmmState state(site, GetParam().bias);
    state.SetRho(0.5);
    std::vector<double> bits;
    for (int step = 0; step < 3; ++step) {
      state.Solve();
      const auto energies = state.GroupEnergies();
      bits.insert(bits.end(), energies.begin(), energies.end());
      state.Project(EveryThirdRemoved());
      const auto residuals = state.UpdateDual();
      bits.insert(bits.end(), {residuals.primal, residuals.dual, residuals.dual_norm});
    }
    return bits;
  });
}

TEST_P(Limits, Swap) {
  ExpectSameBits([&](const auto& site) {
    const SwapResult result =
        SwapPass(*site, EveryThirdRemoved(), {.bias = GetParam().bias, .max_swaps = 4});
    EXPECT_FALSE(result.swaps.empty());
    std::vector<double> bits(result.keep.begin(), result.keep.end());
    bits.insert(bits.end(), {result.before, result.after});
    return bits;
  });
}

// A removal needs one row of both matrices, and that row crosses a tile of each in every column of
// tiles: without a panel most of them would be read once more for every removal.
TEST(SweepTraffic, RowsComeWithTheUpdates) {
  constexpr size_t kColumns = 320, kSide = 32, kBatch = 32, kRemoved = 5 * kBatch;
  const SiteData data = RandomSite({.tokens = 400, .in = kColumns, .out = 8, .seed = 45});
  const TileSpace space = MakeSpace(kSide, 48, kThreads);
  const SiteProblem site(data.Input(space, 0.05, 1));
  const Ridge ridge = site.MakeRidge(false, 0.05);
  const SweepOptions options{.batch = kBatch};
  const std::vector<uint8_t> all(kColumns, 1);
  auto state = MakeSweepState(site, options, ridge, SplitColumns(site, all));
  ASSERT_TRUE(state);
  const uint64_t before = space.store->traffic().read_bytes;
  std::vector<Removal> removals;
  RemoveColumns(site, options, ridge, *state, kRemoved, removals);
  ASSERT_EQ(removals.size(), kRemoved);
  const double tile = kSide * kSide * sizeof(double), axis = kColumns / kSide;
  const double read = static_cast<double>(space.store->traffic().read_bytes - before) / tile;
  // The panel's first rows, four updates, and the matrices made smaller and read again in between.
  // Rows by themselves are 29 passes, of which what is in memory saves less than half.
  const double pass = axis * (axis + 1);
  EXPECT_LT(read, 9 * pass) << read / pass << " passes";
}

INSTANTIATE_TEST_SUITE_P(
    Sites, Limits,
    testing::Values(
        Case{"columns", {.tokens = 120, .in = 42, .out = 21, .seed = 41}, 1, false},
        Case{"everything",
             {.tokens = 90,
              .in = 36,
              .out = 19,
              .bias = true,
              .residual = true,
              .fisher = true,
              .seed = 42},
             1,
             true},
        Case{"groups", {.tokens = 120, .in = 60, .out = 17, .fisher = true, .seed = 44}, 5, false}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace struprune
