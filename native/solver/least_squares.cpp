#include "solver/least_squares.h"

#include <numeric>

#include "ops/gemm.h"
#include "ops/rows.h"

namespace struprune {

std::optional<KeptSolution> SolveKept(const SiteProblem& site, bool bias, const Ridge& ridge,
                                      const ColumnSplit& split) {
  Context& context = site.context();
  const size_t kept = split.kept.size(), removed = split.removed.size(), out = site.out();
  KeptSolution solution;
  if (kept == 0) return solution;

  solution.factor = context.Allocate<double>(kept * kept);
  site.GatherRidged(bias, ridge, split.kept, solution.factor.data());
  if (!Cholesky(kept, solution.factor.data(), kept)) return std::nullopt;

  solution.shift = context.Allocate<double>(out * kept);
  double* shift = solution.shift.data();
  if (site.has_cross()) {
    site.GatherCross(bias, split.kept, shift);
  } else {
    std::fill(shift, shift + out * kept, 0.0);
    if (removed == 0) return solution;
  }
  if (removed > 0) {
    Buffer<double> weight = context.Allocate<double>(out * removed);
    site.GatherWeight(split.removed, weight.data());
    Buffer<double> gram = context.Allocate<double>(removed * kept);
    site.GatherGram(bias, split.removed, split.kept, gram.data());
    ParallelGemm(context, Trans::kNo, Trans::kNo, out, kept, removed, 1, weight.data(), removed,
                 gram.data(), kept, 1, shift, kept);
  }
  ParallelCholeskySolveRows(context, kept, solution.factor.data(), kept, out, shift, kept);
  return solution;
}

Buffer<double> FullDelta(const SiteProblem& site, const ColumnSplit& split, const double* shift) {
  const size_t kept = split.kept.size();
  Buffer<double> delta = site.context().Allocate<double>(site.out() * site.in());
  for (size_t o = 0; o < site.out(); ++o) {
    double* row = delta.data() + o * site.in();
    const float* weight = site.input().weight.data() + o * site.in();
    for (const int32_t j : split.removed) row[j] = -static_cast<double>(weight[j]);
    for (size_t k = 0; k < kept; ++k) row[split.kept[k]] = shift[o * kept + k];
  }
  return delta;
}

double ErrorOfDelta(const SiteProblem& site, Metric metric, bool bias, const double* delta,
                    const Ridge* ridge) {
  Context& context = site.context();
  const SiteInput& input = site.input();
  const size_t out = site.out(), in = site.in();
  const Buffer<double> weighted = site.ApplyMetric(metric, delta, in);
  Buffer<double> product = context.Allocate<double>(out * in);
  ParallelGemm(context, Trans::kNo, Trans::kNo, out, in, in, 1, delta, in, input.gram.data(), in, 0,
               product.data(), in);
  double error = 0;
  for (size_t o = 0; o < out; ++o) {
    const double* d = delta + o * in;
    double* row = product.data() + o * in;
    if (bias) {
      const double mean = Dot(in, d, input.sums.data()) / input.tokens;
      for (size_t j = 0; j < in; ++j) row[j] -= mean * input.sums[j];
    }
    if (site.has_cross()) {
      const double mean = bias ? input.residual_sums[o] / input.tokens : 0;
      const double* cross = input.cross.data() + o * in;
      for (size_t j = 0; j < in; ++j) row[j] -= 2 * (cross[j] - mean * input.sums[j]);
    }
    for (size_t j = 0; ridge && j < in; ++j) row[j] += ridge->diagonal[j] * d[j];
    error += Dot(in, weighted.data() + o * in, row);
  }
  return site.unit(metric) * error + site.residual_norm_sq(metric, bias);
}

}  // namespace struprune
