#include "solver/refit.h"

#include "solver/least_squares.h"
#include "ops/rows.h"

namespace struprune {
namespace {

// Δ [out, in] of a float weight on the kept columns.
Buffer<double> DeltaOf(const SiteProblem& site, const ColumnSplit& split, const Refit& refit) {
  const size_t kept = split.kept.size();
  Buffer<double> shift = site.context().Allocate<double>(site.out() * kept);
  site.GatherWeight(split.kept, shift.data());
  for (size_t c = 0; c < shift.size(); ++c) shift[c] = refit.weight[c] - shift[c];
  return FullDelta(site, split, shift.data());
}

double OldBias(const SiteProblem& site, size_t row) {
  return site.input().bias.empty() ? 0.0 : site.input().bias[row];
}

// mean(R) − Δ mean(x): what the best bias adds to the old one.
std::vector<double> BestBiasShift(const SiteProblem& site, const double* delta) {
  const SiteInput& input = site.input();
  std::vector<double> shift(site.out());
  for (size_t o = 0; o < site.out(); ++o) {
    const double residual = site.has_cross() ? input.residual_sums[o] : 0;
    shift[o] = (residual - Dot(site.in(), delta + o * site.in(), input.sums.data())) / input.tokens;
  }
  return shift;
}

void MeasureWithDelta(const SiteProblem& site, const double* delta, Refit& refit) {
  // ‖·‖² = (error with the best bias) + tokens · ‖b̂ − best b̂‖².
  const std::vector<double> best = BestBiasShift(site, delta);
  std::vector<double> miss(site.out());
  for (size_t o = 0; o < site.out(); ++o) {
    const double bias = refit.bias.empty() ? 0.0 : refit.bias[o];
    miss[o] = bias - OldBias(site, o) - best[o];
  }
  const auto total = [&](Metric metric) {
    const Buffer<double> weighted = site.ApplyMetric(metric, miss.data(), 1);
    double error =
        ErrorOfDelta(site, metric, true, delta, nullptr) +
        site.unit(metric) * site.input().tokens * Dot(site.out(), weighted.data(), miss.data());
    return error;
  };
  refit.error = std::max(0.0, total(Metric::kPlain));
  const double norm = site.target_norm_sq(Metric::kPlain);
  refit.relative_error = norm > 0 ? refit.error / norm : 0;
  if (!site.input().fisher.empty()) refit.fisher_loss = total(Metric::kFisher);
}

}  // namespace

void MeasureError(const SiteProblem& site, const ColumnSplit& split, Refit& refit) {
  const Buffer<double> delta = DeltaOf(site, split, refit);
  MeasureWithDelta(site, delta.data(), refit);
}

Refit RefitKept(const SiteProblem& site, std::span<const uint8_t> keep, bool bias) {
  const ColumnSplit split = SplitColumns(site, keep);
  return WithRisingRidge(site, bias, [&](const Ridge& ridge) -> std::optional<Refit> {
    auto solution = SolveKept(site, bias, ridge, split);
    if (!solution) return std::nullopt;
    Context& context = site.context();
    Refit refit;
    refit.out = site.out();
    refit.kept = split.kept;
    refit.lambda = ridge.lambda;
    refit.ridge_raised = ridge.raised;
    Buffer<double> weight = context.Allocate<double>(site.out() * split.kept.size());
    site.GatherWeight(split.kept, weight.data());
    refit.weight = context.Allocate<float>(weight.size());
    for (size_t c = 0; c < weight.size(); ++c) {
      refit.weight[c] = static_cast<float>(weight[c] + solution->shift[c]);
    }
    // The bias is fitted to the float weight, so it absorbs the mean of the rounding too.
    const Buffer<double> delta = DeltaOf(site, split, refit);
    if (bias || !site.input().bias.empty()) {
      refit.bias = context.Allocate<float>(site.out());
      const std::vector<double> shift =
          bias ? BestBiasShift(site, delta.data()) : std::vector<double>(site.out());
      for (size_t o = 0; o < site.out(); ++o) {
        refit.bias[o] = static_cast<float>(OldBias(site, o) + shift[o]);
      }
    }
    MeasureWithDelta(site, delta.data(), refit);
    return refit;
  });
}

Refit SliceKept(const SiteProblem& site, std::span<const uint8_t> keep, bool mean_bias) {
  const ColumnSplit split = SplitColumns(site, keep);
  const SiteInput& input = site.input();
  Context& context = site.context();
  Refit refit;
  refit.out = site.out();
  refit.kept = split.kept;
  refit.lambda = input.lambda;
  refit.weight = context.Allocate<float>(site.out() * split.kept.size());
  float* to = refit.weight.data();
  for (size_t o = 0; o < site.out(); ++o) {
    for (const int32_t j : split.kept) *to++ = input.weight[o * site.in() + j];
  }
  if (mean_bias || !input.bias.empty()) {
    refit.bias = context.Allocate<float>(site.out());
    for (size_t o = 0; o < site.out(); ++o) {
      double bias = OldBias(site, o);
      for (const int32_t j : split.removed) {
        if (mean_bias) bias += input.weight[o * site.in() + j] * input.sums[j] / input.tokens;
      }
      refit.bias[o] = static_cast<float>(bias);
    }
  }
  MeasureError(site, split, refit);
  return refit;
}

}  // namespace struprune
