// One linear map to be pruned along its input columns, as sums over its calibration tokens.
//
// The target is Y = X Wᵀ + b + R. With H = XᵀX and D = RᵀX, every quantity of docs/method.md
// follows: C = W H + D, and ‖Y − X Ŵᵀ − b̂‖² = ‖R‖² − 2 tr(D Δᵀ) + tr(Δ H Δᵀ) (+ bias terms), Δ = Ŵ
// − W. Working with Δ keeps errors exact where they are small: nothing of size ‖Y‖² is ever
// subtracted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/needs.h"
#include "tiles/tile_matrix.h"

namespace struprune {

// Matrices are tiled and in one store, so that none need be in memory as a whole; they are not
// changed while a problem uses them.
struct SiteInput {
  double tokens = 0;                                 // rows of X
  std::shared_ptr<const TileMatrix<double>> gram;    // [in, in] H, symmetric
  std::vector<double> sums;                          // [in] column sums of X
  std::shared_ptr<const TileMatrix<float>> weight;   // [out, in] W
  std::vector<float> bias;                           // [out] b, or empty
  std::shared_ptr<const TileMatrix<double>> cross;   // [out, in] D, or null: R = 0
  std::vector<double> residual_sums;                 // [out] column sums of R, or empty: R = 0
  double residual_norm_sq = 0;                       // ‖R‖²
  std::shared_ptr<const TileMatrix<double>> fisher;  // [out, out] G, symmetric, or null
  double lambda = 0.05;                              // ridge on diag(H)
  size_t group = 1;                                  // neighbouring columns that go together
};

// Sizes of a problem, as far as its memory depends on them.
struct ProblemShape {
  size_t in = 0, out = 0, group = 1;
  bool cross = false;   // R is not 0
  bool fisher = false;  // solved in the Fisher metric
  bool paged = false;   // of its matrices only the tiles at hand are in memory
};
// Bytes of the matrices [out, columns] that most steps are made of.
inline size_t MapBytes(const ProblemShape& shape, size_t columns) {
  return TileBytes(shape.out, columns);
}
// Of a problem at rest, beside its statistics, and while it is made.
Needs ProblemNeeds(const Context& context, const ProblemShape& shape);
Needs MakeProblemNeeds(const Context& context, const ProblemShape& shape);
// Of a problem with a step that has so many bytes of tiles beside, at most.
Needs StepNeeds(const Context& context, const ProblemShape& shape, size_t tiles);

// What an error is measured in: plain squares, or the Fisher metric G in nats per token,
// tr(G Δ H Δᵀ) / (2 tokens). The metric decides which columns go, never how the rest is refitted.
enum class Metric { kPlain, kFisher };

// The diagonal Λ = H_λ − H = λ diag(H) + 1e-6 mean(diag H) I.
struct Ridge {
  std::vector<double> diagonal;  // [in]
  double lambda = 0;
  int raised = 0;  // how often a failing Cholesky raised λ before this
};

class SiteProblem {
 public:
  // Checks shapes and finiteness; computes the target's norm. Throws ERR_ARGUMENT, ERR_NAN.
  explicit SiteProblem(SiteInput input);

  // Where its own matrices go: beside the input's.
  const TileSpace& space() const { return input_.gram->space(); }
  Context& context() const { return *space().context; }
  const SiteInput& input() const { return input_; }
  size_t in() const { return input_.gram->cols().size(); }
  size_t out() const { return input_.weight->rows().size(); }
  size_t groups() const { return in() / input_.group; }
  bool has_cross() const { return input_.cross != nullptr; }
  bool has_fisher() const { return input_.fisher != nullptr; }
  // ‖X Wᵀ + R‖², the bias left out; in the Fisher metric without the term in R alone. Never
  // negative.
  double target_norm_sq(Metric metric) const;
  // Factor that turns tr(G …) into the metric's unit.
  double unit(Metric metric) const;
  // ‖R‖², centred when a bias absorbs the mean. In the Fisher metric tr(G RᵀR) is not known and
  // counts as 0 everywhere, so errors there are up to a constant when R is given.
  double residual_norm_sq(Metric metric, bool bias) const;

  // Below, `bias` true stands for an unpenalised column of ones: H and D are centred.
  Ridge MakeRidge(bool bias, double lambda) const;
  double GramDiagonal(size_t column, bool bias) const;
  // [rows, columns] H at those rows and columns, without the ridge.
  TileMatrix<double> GatherGram(bool bias, std::span<const int32_t> rows,
                                std::span<const int32_t> columns) const;
  // [n, n] symmetric, H_λ at those columns.
  TileMatrix<double> GatherRidged(bool bias, const Ridge& ridge,
                                  std::span<const int32_t> columns) const;
  // [out, columns] W, or D, at those columns.
  TileMatrix<double> GatherWeight(std::span<const int32_t> columns) const;
  TileMatrix<double> GatherCross(bool bias, std::span<const int32_t> columns) const;
  // G · from [out, columns], made in `storage`; in the plain metric `from` itself.
  const TileMatrix<double>& ApplyMetric(Metric metric, const TileMatrix<double>& from,
                                        TileMatrix<double>& storage) const;
  std::vector<double> ApplyMetric(Metric metric, const std::vector<double>& from) const;

  // Throws ERR_ARGUMENT when the metric needs a Fisher matrix that is not there.
  void RequireMetric(Metric metric) const;

 private:
  void Check() const;
  void MeasureTarget();
  void GatherCentred(const TileMatrix<double>& from, const std::vector<double>* row_sums,
                     std::span<const int32_t> rows, std::span<const int32_t> columns,
                     TileMatrix<double>& to) const;

  const SiteInput input_;
  std::vector<double> diagonal_;  // [in] of H
  double target_norm_sq_ = 0;
  double target_norm_fisher_ = 0;
};

// Columns of the groups whose mask byte is non-zero (kept) and zero (removed), in ascending order.
struct ColumnSplit {
  std::vector<int32_t> kept;
  std::vector<int32_t> removed;
};
ColumnSplit SplitColumns(const SiteProblem& site, std::span<const uint8_t> keep);

inline constexpr int kRidgeTries = 7;

[[noreturn]] void ThrowRidgeExhausted(const SiteProblem& site, double lambda);
double NextLambda(double lambda);

// Runs attempt(ridge), which returns an empty optional when a Cholesky factorisation failed; λ is
// then raised tenfold. The result tells which λ it used. Throws ERR_NUMERIC after kRidgeTries.
template <typename Attempt>
auto WithRisingRidge(const SiteProblem& site, bool bias, Attempt attempt) {
  double lambda = site.input().lambda;
  for (int raised = 0; raised < kRidgeTries; ++raised) {
    Ridge ridge = site.MakeRidge(bias, lambda);
    ridge.raised = raised;
    if (auto result = attempt(ridge)) return std::move(*result);
    lambda = NextLambda(lambda);
  }
  ThrowRidgeExhausted(site, lambda);
}

}  // namespace struprune
