#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "expect_error.h"
#include "solver/admm.h"
#include "solver/refit.h"
#include "solver_support.h"

namespace struprune {
namespace {

using test::ExpectError;
using test::Matrix;
using test::RandomSite;
using test::RefitByElimination;
using test::SiteData;
using test::SmallTiles;
using test::WeightOf;

// The same steps on nested vectors with elimination: W step, projection, dual.
struct PlainAdmm {
  Matrix a, right, w, z, u;
  double rho = 0;

  explicit PlainAdmm(const SiteData& data, double lambda) {
    const size_t n = data.in;
    double mean = 0;
    for (size_t j = 0; j < n; ++j) mean += data.gram[j * n + j] / n;
    Matrix h(n, std::vector<double>(n));
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) h[i][j] = data.gram[i * n + j];
      h[i][i] += lambda * data.gram[i * n + i] + 1e-6 * mean;
    }
    a = h;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) a[i][j] /= std::sqrt(h[i][i] * h[j][j]);
    }
    right.assign(data.out, std::vector<double>(n, 0.0));
    for (size_t o = 0; o < data.out; ++o) {
      for (size_t j = 0; j < n; ++j) {
        for (size_t k = 0; k < n; ++k) right[o][j] += data.weight[o * n + k] * h[k][j];
        if (!data.cross.empty()) right[o][j] += data.cross[o * n + j];
        right[o][j] /= std::sqrt(h[j][j]);
      }
    }
    w = RightSolve(a, right);
    z = w;
    u.assign(data.out, std::vector<double>(n, 0.0));
  }

  // x · m = b for symmetric m.
  static Matrix RightSolve(const Matrix& m, const Matrix& b) {
    Matrix transposed(m.size(), std::vector<double>(b.size()));
    for (size_t r = 0; r < b.size(); ++r) {
      for (size_t c = 0; c < m.size(); ++c) transposed[c][r] = b[r][c];
    }
    const Matrix solved = test::Solve(m, transposed);
    Matrix x(b.size(), std::vector<double>(m.size()));
    for (size_t r = 0; r < b.size(); ++r) {
      for (size_t c = 0; c < m.size(); ++c) x[r][c] = solved[c][r];
    }
    return x;
  }

  void SetRho(double value) {
    for (auto& row : u) {
      for (auto& cell : row) cell *= rho > 0 ? rho / value : 1;
    }
    rho = value;
  }
  void Solve() {
    Matrix shifted = a, b = right;
    for (size_t j = 0; j < a.size(); ++j) shifted[j][j] += rho;
    for (size_t o = 0; o < b.size(); ++o) {
      for (size_t j = 0; j < a.size(); ++j) b[o][j] += rho * (z[o][j] - u[o][j]);
    }
    w = RightSolve(shifted, b);
  }
};

TEST(Admm, StepsMatchPlainArithmetic) {
  const SiteData data = RandomSite({.tokens = 40, .in = 8, .out = 4, .residual = true, .seed = 5});
  AdmmState state(std::make_shared<SiteProblem>(data.Input(SmallTiles(), 0.05, 2)), false);
  PlainAdmm plain(data, 0.05);
  const std::vector<std::vector<uint8_t>> masks = {
      {1, 1, 0, 1}, {1, 0, 1, 1}, {1, 0, 1, 1}, {0, 1, 1, 1}};
  const std::vector<double> rhos = {0.1, 0.3, 0.3, 1.2};
  for (size_t step = 0; step < masks.size(); ++step) {
    state.SetRho(rhos[step]);
    plain.SetRho(rhos[step]);
    state.Solve();
    plain.Solve();
    const auto energies = state.GroupEnergies();
    ASSERT_EQ(energies.size(), 4u);
    for (size_t g = 0; g < 4; ++g) {
      double energy = 0;
      for (size_t o = 0; o < 4; ++o) {
        for (size_t j = 2 * g; j < 2 * g + 2; ++j)
          energy += std::pow(plain.w[o][j] + plain.u[o][j], 2);
      }
      EXPECT_NEAR(energies[g], energy, 1e-9 * energy);
    }
    state.Project(masks[step]);
    double gap = 0, moved = 0, w = 0, z = 0, u = 0;
    for (size_t o = 0; o < 4; ++o) {
      for (size_t j = 0; j < 8; ++j) {
        const double target = masks[step][j / 2] ? plain.w[o][j] + plain.u[o][j] : 0;
        moved += std::pow(target - plain.z[o][j], 2);
        plain.z[o][j] = target;
        plain.u[o][j] += plain.w[o][j] - target;
        gap += std::pow(plain.w[o][j] - target, 2);
        w += std::pow(plain.w[o][j], 2);
        z += std::pow(target, 2);
        u += std::pow(plain.u[o][j], 2);
      }
    }
    const auto residuals = state.UpdateDual();
    EXPECT_NEAR(residuals.primal, std::sqrt(gap), 1e-9 * std::sqrt(w));
    EXPECT_NEAR(residuals.dual, plain.rho * std::sqrt(moved), 1e-9 * std::sqrt(w));
    EXPECT_NEAR(residuals.weight_norm, std::sqrt(w), 1e-9 * std::sqrt(w));
    EXPECT_NEAR(residuals.target_norm, std::sqrt(z), 1e-9 * std::sqrt(w));
    EXPECT_NEAR(residuals.dual_norm, plain.rho * std::sqrt(u), 1e-9 * std::sqrt(w));
  }
}

TEST(Admm, ConvergesToTheRefitUnderAFixedMask) {
  // With the mask held, the two copies must meet in the least-squares solution on it.
  const SiteData data = RandomSite({.tokens = 60, .in = 6, .out = 3, .seed = 6});
  AdmmState state(std::make_shared<SiteProblem>(data.Input(SmallTiles(), 0.05, 1)), false);
  const std::vector<uint8_t> keep = {1, 0, 1, 1, 0, 1};
  state.SetRho(0.5);
  AdmmState::Residuals residuals;
  for (int step = 0; step < 400; ++step) {
    state.Solve();
    state.Project(keep);
    residuals = state.UpdateDual();
  }
  EXPECT_LT(residuals.primal, 1e-10 * residuals.weight_norm);
  EXPECT_LT(residuals.dual, 1e-10 * residuals.weight_norm);
  const auto oracle = test::RefitByElimination(data, keep, 0.05, false, false);
  double mean = 0, norm = 0;
  for (size_t j = 0; j < 6; ++j) mean += data.gram[j * 7] / 6;
  for (size_t j = 0; j < 6; ++j) {
    for (size_t o = 0; o < 3; ++o) {
      norm += std::pow(oracle.weight[o][j], 2) * (1.05 * data.gram[j * 7] + 1e-6 * mean);
    }
  }
  EXPECT_NEAR(residuals.target_norm, std::sqrt(norm), 1e-8 * std::sqrt(norm));
}

TEST(Admm, WrongCallsAreErrors) {
  const SiteData data = RandomSite({.in = 6, .seed = 7});
  AdmmState state(std::make_shared<SiteProblem>(data.Input(SmallTiles(), 0.05, 1)), true);
  EXPECT_THROW(state.Solve(), Error);
  EXPECT_THROW(state.SetRho(0), Error);
  EXPECT_THROW(state.Project(std::vector<uint8_t>(5, 1)), Error);
}

// A run as lib/solver/admm.ts has it, ρ growing while the mask changes, for so many groups kept.
struct AdmmRun {
  std::vector<uint8_t> first, keep;  // the first projection's mask and the last one's
  AdmmState::Residuals residuals;
};

AdmmRun RunAdmm(const SiteData& data, double lambda, bool bias, size_t kept) {
  constexpr int kSteps = 100;
  AdmmState state(std::make_shared<SiteProblem>(data.Input(SmallTiles(), lambda, 1)), bias);
  AdmmRun run;
  run.keep.assign(data.in, 1);
  double rho = 0.1;
  for (int step = 0; step < kSteps; ++step) {
    state.SetRho(rho);
    state.Solve();
    const auto energies = state.GroupEnergies();
    for (const double energy : energies) EXPECT_TRUE(std::isfinite(energy)) << "step " << step;
    std::vector<size_t> order(data.in);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, std::greater(), [&](size_t j) { return energies[j]; });
    std::vector<uint8_t> next(data.in, 0);
    for (size_t k = 0; k < kept; ++k) next[order[k]] = 1;
    state.Project(next);
    run.residuals = state.UpdateDual();
    if (next != run.keep) rho *= 1.1;
    run.keep = next;
    if (step == 0) run.first = next;
  }
  for (const double value : {run.residuals.primal, run.residuals.dual, run.residuals.weight_norm,
                             run.residuals.target_norm, run.residuals.dual_norm}) {
    EXPECT_TRUE(std::isfinite(value));
  }
  return run;
}

// The refit on the run's mask is finite, and no worse than on the mask that it began with.
void ExpectSoundMask(const SiteData& data, double lambda, bool bias, const AdmmRun& run) {
  const SiteProblem site(data.Input(SmallTiles(), lambda, 1));
  const Refit refit = RefitKept(site, run.keep, bias);
  EXPECT_EQ(refit.ridge_raised, 0);
  for (const float value : WeightOf(refit)) EXPECT_TRUE(std::isfinite(value));
  const auto penalised = [&](const std::vector<uint8_t>& keep) {
    return RefitByElimination(data, keep, lambda, bias, false).penalised;
  };
  EXPECT_LE(penalised(run.keep), penalised(run.first) * (1 + 1e-9));
  EXPECT_LE(refit.relative_error, 1);
}

TEST(Admm, DeadChannelsGoFirst) {
  SiteData data = RandomSite({.tokens = 80, .in = 10, .seed = 28});
  for (auto& row : data.x) row[3] = row[7] = 0;
  data.Accumulate();
  for (const bool bias : {false, true}) {
    for (const size_t kept : {8, 5}) {
      const AdmmRun run = RunAdmm(data, 0.05, bias, kept);
      EXPECT_EQ(run.keep[3], 0);
      EXPECT_EQ(run.keep[7], 0);
      ExpectSoundMask(data, 0.05, bias, run);
    }
  }
}

TEST(Admm, NothingAliveIsStillFinite) {
  SiteData data = RandomSite({.tokens = 20, .in = 6, .seed = 29});
  for (auto& row : data.x) row.assign(6, 0.0);
  data.Accumulate();
  const AdmmRun run = RunAdmm(data, 0.05, false, 3);
  const SiteProblem site(data.Input(SmallTiles(), 0.05, 1));
  EXPECT_EQ(RefitKept(site, run.keep, false).error, 0);
}

TEST(Admm, OneMassiveChannelStays) {
  SiteData data = RandomSite({.tokens = 200, .in = 24, .seed = 30});
  for (auto& row : data.x) row[5] *= 1e4;
  data.Accumulate();
  for (const bool bias : {false, true}) {
    for (const size_t kept : {1, 4, 12}) {
      const AdmmRun run = RunAdmm(data, 0.05, bias, kept);
      EXPECT_EQ(run.keep[5], 1) << kept << " kept";
      ExpectSoundMask(data, 0.05, bias, run);
    }
  }
}

TEST(Admm, DuplicatedChannelsAndFewTokensStayFinite) {
  SiteData twins = RandomSite({.tokens = 200, .in = 12, .seed = 31});
  for (auto& row : twins.x) row[4] = row[9];  // rank deficient
  twins.Accumulate();
  const SiteData few = RandomSite({.tokens = 5, .in = 12, .seed = 34});
  for (const SiteData* data : std::initializer_list<const SiteData*>{&twins, &few}) {
    for (const bool bias : {false, true}) {
      ExpectSoundMask(*data, 1e-6, bias, RunAdmm(*data, 1e-6, bias, 7));
    }
  }
}

TEST(Admm, AFailingCholeskyRaisesTheRidgeAndSaysSo) {
  // Not a Gram: indefinite, so only a larger ridge can factor it.
  SiteData data = RandomSite({.tokens = 50, .in = 4, .seed = 32});
  data.gram.assign(16, 1.0);
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1.0 - 1e-3;
  const auto at = [&](double lambda) {
    return AdmmState(std::make_shared<SiteProblem>(data.Input(SmallTiles(), lambda, 1)), false);
  };
  AdmmState raised = at(1e-5), given = at(1e-2);
  EXPECT_EQ(raised.ridge_raised(), 3);
  EXPECT_NEAR(raised.lambda(), 1e-2, 1e-12);
  EXPECT_EQ(given.ridge_raised(), 0);
  // The steps are those of the ridge it names.
  for (AdmmState* state : {&raised, &given}) {
    state->SetRho(0.1);
    state->Solve();
    state->Project(std::vector<uint8_t>{1, 0, 1, 0});
    state->UpdateDual();
    state->Solve();
  }
  const auto expected = given.GroupEnergies();
  for (size_t g = 0; g < 4; ++g) {
    EXPECT_NEAR(raised.GroupEnergies()[g], expected[g], 1e-9 * expected[g]);
  }
  for (size_t j = 0; j < 4; ++j) data.gram[j * 5] = 1e-9;
  ExpectError([&] { at(1e-5); }, "ERR_NUMERIC", "could not be factored");
}

}  // namespace
}  // namespace struprune
