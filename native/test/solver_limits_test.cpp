// The solver gives the same bits whatever part of its matrices is in memory.
#include <gtest/gtest.h>

#include "solver/admm.h"
#include "solver/refit.h"
#include "solver/swap.h"
#include "solver/sweep.h"
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
