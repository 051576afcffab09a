#include <gtest/gtest.h>

#include <cmath>

#include "solver/admm.h"
#include "solver_support.h"

namespace struprune {
namespace {

using test::Matrix;
using test::RandomSite;
using test::SiteData;
using test::SmallTiles;

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

}  // namespace
}  // namespace struprune
