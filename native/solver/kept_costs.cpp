#include "solver/kept_costs.h"

#include <atomic>

#include "solver/sweep_state.h"
#include "tiles/reduce.h"

namespace struprune {
namespace {

std::optional<KeptCosts> MeasureWithRidge(const SiteProblem& site, const ColumnSplit& split,
                                          bool bias, const Ridge& ridge) {
  Context& context = site.context();
  const size_t width = site.input().group, count = split.kept.size() / width;
  KeptCosts costs{.removal = std::vector<double>(site.groups(), 0.0),
                  .explained = std::vector<double>(site.groups(), 0.0),
                  .lambda = ridge.lambda,
                  .ridge_raised = ridge.raised};
  if (count == 0) return costs;
  SweepOptions options;
  options.bias = bias;
  const auto state = MakeSweepState(site, options, ridge, split);
  if (!state) return std::nullopt;
  // Of the kept columns C_λ = Ŵ H_λ, so that column j of C_λ and of Ŵ have the product (ŴᵀŴ
  // H_λ)_jj.
  const std::vector<double> explained =
      ColumnDots(state->energy, site.GatherRidged(bias, ridge, split.kept));
  Buffer<double> scratch = context.Allocate<double>(RemovalScratch(width) * context.pool.size());
  std::atomic<bool> positive{true};
  context.pool.ParallelFor(count, [&](size_t block, size_t worker) {
    context.CheckAbort();
    const size_t start = block * width, group = static_cast<size_t>(split.kept[start]) / width;
    const auto cost =
        RemovalCost(*state, start, width, scratch.data() + RemovalScratch(width) * worker);
    if (!cost) {
      positive = false;
      return;
    }
    costs.removal[group] = *cost;
    for (size_t j = start; j < start + width; ++j) costs.explained[group] += explained[j];
  });
  if (!positive) return std::nullopt;
  return costs;
}

}  // namespace

KeptCosts MeasureKept(const SiteProblem& site, std::span<const uint8_t> keep, bool bias) {
  const ColumnSplit split = SplitColumns(site, keep);
  return WithRisingRidge(
      site, bias, [&](const Ridge& ridge) { return MeasureWithRidge(site, split, bias, ridge); });
}

}  // namespace struprune
