#include <gtest/gtest.h>

#include <cmath>

#include "expect_error.h"
#include "solver/columns.h"
#include "solver/refit.h"
#include "solver_support.h"

namespace struprune {
namespace {

using test::ColumnMask;
using test::ErrorFromTokens;
using test::ExpectError;
using test::Matrix;
using test::RandomSite;
using test::RefitByElimination;
using test::SiteData;
using test::SiteShape;
using test::SmallTiles;
using test::WeightOf;

std::vector<uint8_t> EveryThirdRemoved(size_t groups) {
  std::vector<uint8_t> keep(groups, 1);
  for (size_t g = 1; g < groups; g += 3) keep[g] = 0;
  return keep;
}

// The refit's float weight as a full matrix, and what its bias moves by.
Matrix FullWeight(const SiteData& data, const Refit& refit) {
  const std::vector<float> kept = WeightOf(refit);
  Matrix weight(data.out, std::vector<double>(data.in, 0.0));
  for (size_t o = 0; o < data.out; ++o) {
    for (size_t k = 0; k < refit.kept.size(); ++k) {
      weight[o][refit.kept[k]] = kept[o * refit.kept.size() + k];
    }
  }
  return weight;
}

std::vector<double> BiasShift(const SiteData& data, const Refit& refit) {
  std::vector<double> shift(data.out, 0.0);
  for (size_t o = 0; o < data.out; ++o) {
    shift[o] =
        (refit.bias.empty() ? 0.0 : refit.bias[o]) - (data.bias.empty() ? 0.0 : data.bias[o]);
  }
  return shift;
}

struct RefitCase {
  const char* name;
  SiteShape shape;
  size_t group;
  bool bias;
};
class RefitOracle : public testing::TestWithParam<RefitCase> {};

TEST_P(RefitOracle, MatchesEliminationAndTokens) {
  const RefitCase& c = GetParam();
  const SiteData data = RandomSite(c.shape);
  const SiteProblem site(data.Input(SmallTiles(), 0.05, c.group));
  const auto keep = EveryThirdRemoved(site.groups());
  const Refit refit = RefitKept(site, keep, c.bias);
  const auto columns = ColumnMask(keep, c.group);
  const auto oracle = RefitByElimination(data, columns, 0.05, c.bias, false);

  const Matrix weight = FullWeight(data, refit);
  for (size_t o = 0; o < data.out; ++o) {
    for (size_t j = 0; j < data.in; ++j) EXPECT_NEAR(weight[o][j], oracle.weight[o][j], 2e-6);
  }
  const auto shift = BiasShift(data, refit);
  for (size_t o = 0; o < data.out; ++o) EXPECT_NEAR(shift[o], oracle.shift[o], 2e-6);
  // The reported errors are those of the float weight, measured on the tokens.
  const double error = ErrorFromTokens(data, weight, shift, false);
  EXPECT_NEAR(refit.error, error, 1e-9 * error + 1e-9);
  double norm = 0;
  for (size_t t = 0; t < data.tokens; ++t) {
    for (size_t o = 0; o < data.out; ++o) {
      double y = data.residual.empty() ? 0 : data.residual[t][o];
      for (size_t j = 0; j < data.in; ++j) y += data.x[t][j] * data.weight[o * data.in + j];
      norm += y * y;
    }
  }
  EXPECT_NEAR(refit.relative_error, error / norm, 1e-9);
  ASSERT_EQ(refit.fisher_loss.has_value(), c.shape.fisher);
  if (c.shape.fisher) {
    double constant = 0;  // tr(G RᵀR), left out there
    for (const auto& r : data.residual) {
      for (size_t a = 0; a < data.out; ++a) {
        for (size_t b = 0; b < data.out; ++b) constant += data.fisher[a][b] * r[a] * r[b];
      }
    }
    const double nats =
        (ErrorFromTokens(data, weight, shift, true) - constant) / (2.0 * data.tokens);
    EXPECT_NEAR(*refit.fisher_loss, nats, 1e-9 * (1 + std::abs(nats)));
  }
  EXPECT_EQ(refit.lambda, 0.05);
  EXPECT_EQ(refit.ridge_raised, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Sites, RefitOracle,
    testing::Values(
        RefitCase{"plain", {.in = 12}, 1, false},
        RefitCase{"old_bias_stays", {.in = 12, .bias = true, .seed = 2}, 1, false},
        RefitCase{"bias", {.in = 12, .bias = true, .seed = 3}, 1, true},
        RefitCase{"new_bias", {.in = 12, .seed = 4}, 1, true},
        RefitCase{"residual", {.in = 12, .residual = true, .fisher = true, .seed = 5}, 1, false},
        RefitCase{"residual_bias",
                  {.in = 12, .bias = true, .residual = true, .fisher = true, .seed = 6},
                  3,
                  true},
        RefitCase{"few_tokens", {.tokens = 4, .in = 12, .fisher = true, .seed = 7}, 2, false}),
    [](const auto& info) { return info.param.name; });

TEST(Refit, KeepingAllIsTheDenseMapAndKeepingNoneIsItsMean) {
  const SiteData data = RandomSite({.in = 6, .bias = true, .seed = 8});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  const Refit all = RefitKept(site, std::vector<uint8_t>(6, 1), false);
  EXPECT_EQ(all.error, 0);
  EXPECT_EQ(WeightOf(all), data.weight);
  const Refit none = RefitKept(site, std::vector<uint8_t>(6, 0), true);
  EXPECT_TRUE(WeightOf(none).empty());
  for (size_t o = 0; o < data.out; ++o) {
    double mean = data.bias[o];
    for (size_t j = 0; j < data.in; ++j) {
      mean += data.weight[o * data.in + j] * data.sums[j] / data.tokens;
    }
    EXPECT_NEAR(none.bias[o], mean, 1e-5);
  }
}

TEST(Refit, SliceKeepsWeightsAndCompensatesTheMeanWhenAsked) {
  const SiteData data = RandomSite({.in = 9, .bias = true, .residual = true, .seed = 9});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  const auto keep = EveryThirdRemoved(9);
  const Refit plain = SliceKept(site, keep, false);
  const Refit compensated = SliceKept(site, keep, true);
  const Refit fitted = RefitKept(site, keep, true);
  const std::vector<float> sliced = WeightOf(plain);
  for (size_t o = 0; o < data.out; ++o) {
    for (size_t k = 0; k < plain.kept.size(); ++k) {
      EXPECT_EQ(sliced[o * plain.kept.size() + k], data.weight[o * 9 + plain.kept[k]]);
    }
    EXPECT_EQ(plain.bias[o], data.bias[o]);
    double bias = data.bias[o];
    for (size_t j = 0; j < 9; ++j) {
      if (!keep[j]) bias += data.weight[o * 9 + j] * data.sums[j] / data.tokens;
    }
    EXPECT_NEAR(compensated.bias[o], bias, 1e-6);
  }
  for (const Refit* refit : {&plain, &compensated}) {
    const double error =
        ErrorFromTokens(data, FullWeight(data, *refit), BiasShift(data, *refit), false);
    EXPECT_NEAR(refit->error, error, 1e-9 * error);
  }
  EXPECT_LT(fitted.error, compensated.error);
}

TEST(Refit, OneMassiveAndOneDeadChannelStayFinite) {
  SiteData data = RandomSite({.tokens = 6, .in = 10, .seed = 10});
  for (auto& row : data.x) {
    row[2] *= 1e5;
    row[6] = 0;
    row[7] = 3;  // constant: dead once centred
  }
  data.Accumulate();
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  for (const bool bias : {false, true}) {
    const Refit refit = RefitKept(site, EveryThirdRemoved(10), bias);
    for (const float value : WeightOf(refit)) EXPECT_LT(std::abs(value), 1e3);
    EXPECT_TRUE(std::isfinite(refit.error));
    EXPECT_LT(refit.relative_error, 1e-3);
  }
}

TEST(Refit, AFailingCholeskyRaisesTheRidgeAndSaysSo) {
  // Not a Gram: indefinite, so only a larger ridge can factor it.
  SiteData data = RandomSite({.tokens = 50, .in = 4, .seed = 32});
  data.gram.assign(16, 1.0);
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1.0 - 1e-3;
  const auto at = [&](double lambda) {
    return RefitKept(SiteProblem(data.Input(SmallTiles(), lambda, 1)),
                     std::vector<uint8_t>{1, 0, 1, 1}, false);
  };
  const Refit raised = at(1e-5), given = at(1e-2);
  EXPECT_EQ(raised.ridge_raised, 3);
  EXPECT_NEAR(raised.lambda, 1e-2, 1e-12);
  EXPECT_EQ(given.ridge_raised, 0);
  // The weight is that of the ridge it names.
  const std::vector<float> weight = WeightOf(raised), expected = WeightOf(given);
  for (size_t c = 0; c < expected.size(); ++c) EXPECT_NEAR(weight[c], expected[c], 1e-6);
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1e-9;
  ExpectError([&] { at(1e-5); }, "ERR_NUMERIC", "could not be factored");
}

TEST(Columns, AreWhatTheySay) {
  const SiteData data = RandomSite({.in = 4, .out = 3, .seed = 11});
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  const ColumnStatistics columns = MeasureColumns(site);
  for (size_t j = 0; j < 4; ++j) {
    double abs = 0, square = 0, share = 0, second = 0, mean = 0;
    for (size_t o = 0; o < 3; ++o) {
      double row = 0;
      for (size_t k = 0; k < 4; ++k) row += std::abs(data.weight[o * 4 + k]);
      share += std::abs(data.weight[o * 4 + j]) / row;
      abs += std::abs(data.weight[o * 4 + j]) / 3;
      square += std::pow(data.weight[o * 4 + j], 2);
    }
    for (const auto& row : data.x) {
      second += row[j] * row[j] / data.tokens;
      mean += row[j] / data.tokens;
    }
    EXPECT_NEAR(columns.weight.abs_mean[j], abs, 1e-6);
    EXPECT_NEAR(columns.weight.norm_sq[j], square, 1e-6);
    EXPECT_NEAR(columns.weight.share[j], share, 1e-6);
    EXPECT_NEAR(columns.second[j], second, 1e-9);
    EXPECT_NEAR(columns.mean[j], mean, 1e-9);
  }
}

}  // namespace
}  // namespace struprune
