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

#include "core/context.h"

namespace struprune {

// All spans stay valid while `owner` lives.
struct SiteInput {
  size_t in = 0;
  size_t out = 0;
  double tokens = 0;                      // rows of X
  std::span<const double> gram;           // [in, in] H, full symmetric
  std::span<const double> sums;           // [in] column sums of X
  std::span<const float> weight;          // [out, in] W
  std::span<const float> bias;            // [out] b, or empty
  std::span<const double> cross;          // [out, in] D, or empty: R = 0
  std::span<const double> residual_sums;  // [out] column sums of R, or empty: R = 0
  double residual_norm_sq = 0;            // ‖R‖²
  std::span<const double> fisher;         // [out, out] G, symmetric, or empty
  double lambda = 0.05;                   // ridge on diag(H)
  size_t group = 1;                       // neighbouring columns that go together
  std::shared_ptr<const void> owner;
};

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
  SiteProblem(std::shared_ptr<Context> context, SiteInput input);

  Context& context() const { return *context_; }
  const std::shared_ptr<Context>& shared_context() const { return context_; }
  const SiteInput& input() const { return input_; }
  size_t in() const { return input_.in; }
  size_t out() const { return input_.out; }
  size_t groups() const { return input_.in / input_.group; }
  bool has_cross() const { return !input_.cross.empty(); }
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
  // to[rows, columns] = H at those rows and columns, without the ridge.
  void GatherGram(bool bias, std::span<const int32_t> rows, std::span<const int32_t> columns,
                  double* to) const;
  // to[n, n] = H_λ at those columns.
  void GatherRidged(bool bias, const Ridge& ridge, std::span<const int32_t> columns,
                    double* to) const;
  // to[out, columns] = W, or D, at those columns.
  void GatherWeight(std::span<const int32_t> columns, double* to) const;
  void GatherCross(bool bias, std::span<const int32_t> columns, double* to) const;
  // G · from [out, columns], or `from` itself copied in the plain metric.
  Buffer<double> ApplyMetric(Metric metric, const double* from, size_t columns) const;

  // Throws ERR_ARGUMENT when the metric needs a Fisher matrix that is not there.
  void RequireMetric(Metric metric) const;

 private:
  void Check() const;
  void MeasureTarget();

  std::shared_ptr<Context> context_;
  const SiteInput input_;
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
