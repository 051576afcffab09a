#include "solver/refit.h"

#include <algorithm>
#include <string>

#include "ops/codec.h"
#include "ops/rows.h"
#include "solver/least_squares.h"
#include "solver/rounded_refit.h"
#include "tiles/gather.h"
#include "tiles/reduce.h"

namespace struprune {
namespace {

// Δ [out, in] of a float weight on the kept columns.
TileMatrix<double> DeltaOf(const SiteProblem& site, const ColumnSplit& split, const Refit& refit) {
  TileMatrix<double> shift = site.GatherWeight(split.kept);
  EachTile(
      [&](size_t i, size_t j) {
        const auto to = shift.Update(i, j);
        const auto fitted = refit.weight.Read(i, j);
        for (size_t r = 0; r < to.rows; ++r) {
          for (size_t c = 0; c < to.cols; ++c) to.row(r)[c] = fitted.row(r)[c] - to.row(r)[c];
        }
      },
      shift, refit.weight);
  return FullDelta(site, split, shift);
}

// W_K + shift, rounded.
TileMatrix<float> FittedWeight(const SiteProblem& site, const ColumnSplit& split,
                               const TileMatrix<double>& shift) {
  const TileMatrix<double> weight = site.GatherWeight(split.kept);
  TileMatrix<float> fitted(site.space(), site.out(), split.kept.size());
  EachTile(
      [&](size_t i, size_t j) {
        const auto to = fitted.Write(i, j);
        const auto from = weight.Read(i, j), change = shift.Read(i, j);
        for (size_t r = 0; r < to.rows; ++r) {
          for (size_t c = 0; c < to.cols; ++c) {
            to.row(r)[c] = static_cast<float>(from.row(r)[c] + change.row(r)[c]);
          }
        }
      },
      fitted, weight, shift);
  return fitted;
}

double OldBias(const SiteProblem& site, size_t row) {
  return site.input().bias.empty() ? 0.0 : site.input().bias[row];
}

// mean(R) − Δ mean(x): what the best bias adds to the old one.
std::vector<double> BestBiasShift(const SiteProblem& site, const TileMatrix<double>& delta) {
  const SiteInput& input = site.input();
  std::vector<double> shift = TimesVector(delta, input.sums);
  for (size_t o = 0; o < site.out(); ++o) {
    shift[o] = ((site.has_cross() ? input.residual_sums[o] : 0) - shift[o]) / input.tokens;
  }
  return shift;
}

void MeasureWithDelta(const SiteProblem& site, const TileMatrix<double>& delta, Refit& refit) {
  // ‖·‖² = (error with the best bias) + tokens · ‖b̂ − best b̂‖².
  const std::vector<double> best = BestBiasShift(site, delta);
  std::vector<double> miss(site.out());
  for (size_t o = 0; o < site.out(); ++o) {
    const double bias = refit.bias.empty() ? 0.0 : refit.bias[o];
    miss[o] = bias - OldBias(site, o) - best[o];
  }
  const auto total = [&](Metric metric) {
    const std::vector<double> weighted = site.ApplyMetric(metric, miss);
    return ErrorOfDelta(site, metric, true, delta, nullptr) +
           site.unit(metric) * site.input().tokens * Dot(site.out(), weighted.data(), miss.data());
  };
  refit.error = std::max(0.0, total(Metric::kPlain));
  const double norm = site.target_norm_sq(Metric::kPlain);
  refit.relative_error = norm > 0 ? refit.error / norm : 0;
  if (site.has_fisher()) refit.fisher_loss = total(Metric::kFisher);
}

// Of MeasureError: the kept weight, Δ, and its gradient, that also in the metric.
size_t MeasuringTiles(const ProblemShape& shape, size_t kept) {
  const size_t map = MapBytes(shape, shape.in), metric = shape.fisher ? 2 : 1;
  return TileBytes<float>(shape.out, kept) + map + std::max(MapBytes(shape, kept), metric * map);
}

}  // namespace

Needs RefitNeeds(const Context& context, const ProblemShape& shape, size_t kept, Dtype stored) {
  const size_t removed = shape.in - kept, shift = MapBytes(shape, kept);
  const size_t solution = HalfBytes(kept) + shift;
  const size_t tiles = std::max({
      solution + MapBytes(shape, removed) + TileBytes(removed, kept),  // SolveKept
      solution + shift + TileBytes<float>(shape.out, kept),            // FittedWeight
      MeasuringTiles(shape, kept),
  });
  Needs needs = StepNeeds(context, shape, tiles);
  if (HasSteps(stored)) {
    const size_t held = solution + TileBytes<float>(shape.out, kept);
    needs = needs.Then(StepNeeds(context, shape, held) + RoundingNeeds(context, shape.out, kept));
  }
  const double k = static_cast<double>(kept);
  // A Cholesky factor, and the solves of as many right sides as there are outputs.
  needs.double_flops = k * k * k / 3 + 2 * static_cast<double>(shape.out) * k * k;
  return needs;
}

Needs SliceNeeds(const Context& context, const ProblemShape& shape, size_t kept) {
  return StepNeeds(context, shape, MeasuringTiles(shape, kept));
}

void MeasureError(const SiteProblem& site, const ColumnSplit& split, Refit& refit) {
  MeasureWithDelta(site, DeltaOf(site, split, refit), refit);
}

Refit RefitKept(const SiteProblem& site, std::span<const uint8_t> keep, bool bias, Dtype stored) {
  const ColumnSplit split = SplitColumns(site, keep);
  if (HasSteps(stored) && split.kept.size() % LayoutOf(stored).elements != 0) {
    throw Error("ERR_ARGUMENT", std::to_string(split.kept.size()) +
                                    " columns are not whole blocks of " +
                                    std::string(NameOf(stored)));
  }
  return WithRisingRidge(site, bias, [&](const Ridge& ridge) -> std::optional<Refit> {
    Refit refit;
    refit.kept = split.kept;
    refit.lambda = ridge.lambda;
    refit.ridge_raised = ridge.raised;
    {
      const auto solution = SolveKept(site, bias, ridge, split);
      if (!solution) return std::nullopt;
      refit.weight = FittedWeight(site, split, solution->shift);
      if (HasSteps(stored)) RoundWithFeedback(solution->factor, stored, refit.weight);
    }
    // The bias is fitted to the float weight, so it absorbs the mean of the rounding too.
    const TileMatrix<double> delta = DeltaOf(site, split, refit);
    if (bias || !site.input().bias.empty()) {
      const std::vector<double> shift =
          bias ? BestBiasShift(site, delta) : std::vector<double>(site.out());
      for (size_t o = 0; o < site.out(); ++o) {
        refit.bias.push_back(static_cast<float>(OldBias(site, o) + shift[o]));
      }
    }
    MeasureWithDelta(site, delta, refit);
    return refit;
  });
}

Refit SliceKept(const SiteProblem& site, std::span<const uint8_t> keep, bool mean_bias) {
  const ColumnSplit split = SplitColumns(site, keep);
  const SiteInput& input = site.input();
  Refit refit;
  refit.kept = split.kept;
  refit.lambda = input.lambda;
  refit.weight = TileMatrix<float>(site.space(), site.out(), split.kept.size());
  Gather(*input.weight, AllOf(refit.weight.rows()), split.kept, refit.weight);
  if (mean_bias || !input.bias.empty()) {
    std::vector<double> means(site.in(), 0.0);
    for (const int32_t j : split.removed) {
      if (mean_bias) means[j] = input.sums[j] / input.tokens;
    }
    const std::vector<double> gone = TimesVector(*input.weight, means);
    for (size_t o = 0; o < site.out(); ++o) {
      refit.bias.push_back(static_cast<float>(OldBias(site, o) + gone[o]));
    }
  }
  MeasureError(site, split, refit);
  return refit;
}

}  // namespace struprune
