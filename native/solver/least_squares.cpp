#include "solver/least_squares.h"

#include "tiles/cholesky.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"
#include "tiles/reduce.h"

namespace struprune {

std::optional<KeptSolution> SolveKept(const SiteProblem& site, bool bias, const Ridge& ridge,
                                      const ColumnSplit& split) {
  KeptSolution solution;
  solution.factor = site.GatherRidged(bias, ridge, split.kept);
  if (!FactorCholesky(solution.factor)) return std::nullopt;
  solution.shift = site.has_cross()
                       ? site.GatherCross(bias, split.kept)
                       : TileMatrix<double>(site.space(), site.out(), split.kept.size());
  if (split.removed.empty() && !site.has_cross()) return solution;
  if (!split.removed.empty()) {
    const TileMatrix<double> weight = site.GatherWeight(split.removed);
    const TileMatrix<double> gram = site.GatherGram(bias, split.removed, split.kept);
    Multiply(1, {weight}, {gram}, site.has_cross() ? 1 : 0, solution.shift);
  }
  SolveForward(solution.factor, solution.shift);
  SolveBackward(solution.factor, solution.shift);
  return solution;
}

TileMatrix<double> FullDelta(const SiteProblem& site, const ColumnSplit& split,
                             const TileMatrix<double>& shift) {
  TileMatrix<double> delta(site.space(), site.out(), site.in());
  const std::vector<int32_t> rows = AllOf(delta.rows());
  Gather(*site.input().weight, rows, AllOf(delta.cols()), delta,
         [](const Tile<double>& tile, size_t, size_t) {
           for (size_t r = 0; r < tile.rows; ++r) {
             for (size_t c = 0; c < tile.cols; ++c) tile.row(r)[c] = -tile.row(r)[c];
           }
         });
  Overlay(shift, rows, PlacesOf(split.kept, site.in()), delta);
  return delta;
}

double ErrorOfDelta(const SiteProblem& site, Metric metric, bool bias,
                    const TileMatrix<double>& delta, const Ridge* ridge) {
  const SiteInput& input = site.input();
  // Of which the products with Δ sum up to the error, and no more: H is folded.
  TileMatrix<double> terms(site.space(), site.out(), site.in());
  Multiply(1, {delta}, {.matrix = *input.gram, .folded = true}, 0, terms);
  if (site.has_cross()) Add(-2, *input.cross, terms);
  // Per row: what centring takes off every column in proportion to its sum.
  std::vector<double> means(site.out(), 0.0);
  if (bias) means = TimesVector(delta, input.sums);
  for (size_t o = 0; bias && o < site.out(); ++o) {
    means[o] = (means[o] - (site.has_cross() ? 2 * input.residual_sums[o] : 0)) / input.tokens;
  }
  EachTile(
      [&](size_t i, size_t j) {
        const auto to = terms.Update(i, j);
        const auto from = delta.Read(i, j);
        const double* sums = input.sums.data() + delta.cols().begin(j);
        const double* diagonal = ridge ? ridge->diagonal.data() + delta.cols().begin(j) : nullptr;
        for (size_t r = 0; r < to.rows; ++r) {
          const double mean = means[delta.rows().begin(i) + r];
          for (size_t c = 0; bias && c < to.cols; ++c) to.row(r)[c] -= mean * sums[c];
          for (size_t c = 0; ridge && c < to.cols; ++c)
            to.row(r)[c] += diagonal[c] * from.row(r)[c];
        }
      },
      terms, delta);
  TileMatrix<double> storage;
  const TileMatrix<double>& weighted = site.ApplyMetric(metric, delta, storage);
  return site.unit(metric) * Dot(weighted, terms) + site.residual_norm_sq(metric, bias);
}

}  // namespace struprune
