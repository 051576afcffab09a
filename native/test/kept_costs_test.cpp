#include "solver/kept_costs.h"

#include <gtest/gtest.h>

#include "solver_support.h"

namespace struprune {
namespace {

using test::ColumnMask;
using test::RandomSite;
using test::RefitByElimination;
using test::SiteData;
using test::SiteShape;
using test::SmallTiles;

struct KeptCase {
  const char* name;
  SiteShape shape;
  size_t group;
  bool bias;
};
class KeptOracle : public testing::TestWithParam<KeptCase> {};

constexpr double kLambda = 0.05;

// C_λ = W H_λ + RᵀX at a column, centred where a bias absorbs the mean, straight from the sums.
double RidgedTarget(const SiteData& data, size_t row, size_t column, bool bias) {
  const auto gram = [&](size_t i, size_t j) {
    const double mean = bias ? data.sums[i] * data.sums[j] / static_cast<double>(data.tokens) : 0;
    return data.gram[i * data.in + j] - mean;
  };
  double sum = 0, mean_diagonal = 0;
  for (size_t i = 0; i < data.in; ++i) {
    sum += data.weight[row * data.in + i] * gram(i, column);
    mean_diagonal += gram(i, i) / static_cast<double>(data.in);
  }
  sum +=
      data.weight[row * data.in + column] * (kLambda * gram(column, column) + 1e-6 * mean_diagonal);
  if (data.cross.empty()) return sum;
  const double mean =
      bias ? data.residual_sums[row] * data.sums[column] / static_cast<double>(data.tokens) : 0;
  return sum + data.cross[row * data.in + column] - mean;
}

TEST_P(KeptOracle, MatchesFullRefits) {
  const KeptCase& c = GetParam();
  const SiteData data = RandomSite(c.shape);
  const SiteProblem site(data.Input(SmallTiles(), kLambda, c.group));
  const size_t groups = site.groups();
  const auto refit = [&](const std::vector<uint8_t>& mask) {
    return RefitByElimination(data, ColumnMask(mask, c.group), kLambda, c.bias, false);
  };
  for (const size_t removed : {size_t{0}, groups / 3, groups - 1}) {
    std::vector<uint8_t> keep(groups, 1);
    for (size_t g = 0; g < removed; ++g) keep[(3 * g + 1) % groups] = 0;
    const KeptCosts costs = MeasureKept(site, keep, c.bias);
    const auto whole = refit(keep);
    const double scale = site.target_norm_sq(Metric::kPlain);
    for (size_t g = 0; g < groups; ++g) {
      if (!keep[g]) {
        EXPECT_EQ(costs.removal[g], 0);
        EXPECT_EQ(costs.explained[g], 0);
        continue;
      }
      std::vector<uint8_t> without = keep;
      without[g] = 0;
      EXPECT_NEAR(costs.removal[g], refit(without).penalised - whole.penalised, 1e-9 * scale);
      double explained = 0;
      for (size_t j = g * c.group; j < (g + 1) * c.group; ++j) {
        for (size_t o = 0; o < data.out; ++o) {
          explained += RidgedTarget(data, o, j, c.bias) * whole.weight[o][j];
        }
      }
      EXPECT_NEAR(costs.explained[g], explained, 1e-9 * scale);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sites, KeptOracle,
    testing::Values(KeptCase{"columns", {.in = 15, .seed = 3}, 1, false},
                    KeptCase{"bias", {.in = 12, .bias = true, .seed = 4}, 1, true},
                    KeptCase{"residual", {.in = 12, .residual = true, .seed = 5}, 1, true},
                    KeptCase{"blocks", {.in = 18, .residual = true, .seed = 7}, 3, false}),
    [](const auto& info) { return info.param.name; });

TEST(KeptCosts, AreThoseOfNothingWhereNothingIsKept) {
  const SiteData data = RandomSite({.in = 6, .seed = 4});
  const SiteProblem site(data.Input(SmallTiles(), kLambda, 2));
  const KeptCosts costs = MeasureKept(site, std::vector<uint8_t>(3, 0), false);
  EXPECT_EQ(costs.removal, std::vector<double>(3, 0.0));
  EXPECT_EQ(costs.explained, std::vector<double>(3, 0.0));
}

TEST(KeptCosts, RefuseAMaskOfAnotherLength) {
  const SiteData data = RandomSite({.in = 6, .seed = 4});
  const SiteProblem site(data.Input(SmallTiles(), kLambda, 1));
  EXPECT_THROW(MeasureKept(site, std::vector<uint8_t>(5, 1), false), Error);
}

}  // namespace
}  // namespace struprune
