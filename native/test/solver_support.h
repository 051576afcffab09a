// Random sites and an independent oracle for the solver's tests: everything from the tokens
// themselves, by plain Gaussian elimination, sharing no code with native/solver.
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "solver/refit.h"

namespace struprune::test {

using Matrix = std::vector<std::vector<double>>;

struct SiteData {
  size_t tokens = 0, in = 0, out = 0;
  Matrix x;                   // [tokens, in]
  Matrix residual;            // [tokens, out], or empty
  std::vector<float> weight;  // [out, in]
  std::vector<float> bias;    // [out], or empty
  Matrix fisher;              // [out, out], or empty
  // Sums handed to the site.
  std::vector<double> gram, sums, cross, residual_sums, fisher_flat;
  double residual_norm_sq = 0;

  // Fills the sums from the tokens.
  void Accumulate();
  // Its matrices in tiles.
  SiteInput Input(const TileSpace& space, double lambda, size_t group) const;
};

struct SiteShape {
  size_t tokens = 60, in = 8, out = 5;
  bool bias = false, residual = false, fisher = false;
  unsigned seed = 1;
};
// Correlated inputs of unlike scale, with means.
SiteData RandomSite(const SiteShape& shape);

// Tiles so small that the sites here have several; all in memory.
TileSpace SmallTiles(size_t threads = 2);

// The refit's weight as plain rows [out, kept].
std::vector<float> WeightOf(const Refit& refit);

// Solves a·x = b for many right sides by elimination with partial pivoting; b is [n, k].
Matrix Solve(Matrix a, Matrix b);

struct OracleRefit {
  Matrix weight;              // [out, in], zero where removed
  std::vector<double> shift;  // [out] what the bias moves by
  double penalised = 0;       // plain, or in the Fisher metric × 2 tokens when asked
  double error = 0;
};
// Minimises the penalised error on the kept columns; `fisher` picks the metric of the two numbers.
OracleRefit RefitByElimination(const SiteData& data, const std::vector<uint8_t>& keep_columns,
                               double lambda, bool bias, bool fisher);

// Σ over tokens of ‖x Δᵀ + shift − r‖² in the metric, straight from the tokens.
double ErrorFromTokens(const SiteData& data, const Matrix& weight, const std::vector<double>& shift,
                       bool fisher);

std::vector<uint8_t> ColumnMask(const std::vector<uint8_t>& keep_groups, size_t group);

}  // namespace struprune::test
