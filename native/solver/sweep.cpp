#include "solver/sweep.h"

#include <algorithm>
#include <cmath>

#include "solver/least_squares.h"
#include "solver/sweep_state.h"
#include "tiles/cholesky.h"
#include "tiles/doubles_on_device.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/multiply.h"

namespace struprune {
namespace {

constexpr int kMaxRefactorings = 16;

std::vector<uint8_t> MaskWithout(const SiteProblem& site, const std::vector<int32_t>& order) {
  std::vector<uint8_t> keep(site.groups(), 1);
  for (const int32_t group : order) keep[group] = 0;
  return keep;
}

void Check(const SiteProblem& site, const SweepOptions& options) {
  site.RequireMetric(options.selection);
  site.RequireMetric(options.curve);
  if (options.group_costs.empty()) return;
  if (options.group_costs.size() != site.groups()) {
    throw Error("ERR_ARGUMENT", "a sweep needs one cost a group");
  }
  for (const double cost : options.group_costs) {
    if (!(cost > 0) || !std::isfinite(cost)) {
      throw Error("ERR_ARGUMENT", "the cost of a group must be a number > 0");
    }
  }
}

// Removals that the exact curve confirms: all before the first where the running sum is off by more
// than the tolerance, and at least one, since the first was chosen in an exact state.
size_t Confirmed(const SiteProblem& site, const SweepOptions& options,
                 const std::vector<Removal>& removals, size_t before, const ExactCurve& exact,
                 double* drift) {
  const double norm = site.target_norm_sq(options.selection);
  double gap = 0;
  for (size_t i = 0; i < removals.size(); ++i) {
    gap += site.unit(options.selection) * removals[i].cost - exact.cost[before + i];
    const double share = norm > 0 ? std::abs(gap) / norm : 0;
    if (!(share <= options.drift_tolerance)) return std::max<size_t>(i, 1);
    *drift = std::max(*drift, share);
  }
  return removals.size();
}

std::optional<SweepResult> SweepWithRidge(const SiteProblem& site, const SweepOptions& options,
                                          const Ridge& ridge) {
  SweepResult result;
  result.lambda = ridge.lambda;
  result.ridge_raised = ridge.raised;
  const size_t total = std::min(options.max_removed, site.groups());
  for (;;) {
    const size_t before = result.order.size();
    std::vector<Removal> removals;
    TileMatrix<double> shift;
    if (before < total) {
      const ColumnSplit split = SplitColumns(site, MaskWithout(site, result.order));
      auto state = MakeSweepState(site, options, ridge, split);
      if (!state) return std::nullopt;
      if (site.input().group == 1) {
        RemoveColumns(site, options, ridge, *state, total - before, removals);
      } else if (!RemoveBlocks(site, options, *state, total - before, removals)) {
        return std::nullopt;
      }
      if (before == 0) shift = std::move(state->shift);
    }
    std::vector<int32_t> order = result.order;
    for (const Removal& removal : removals) order.push_back(removal.group);
    auto exact = MeasureCurve(site, options, ridge, order, std::move(shift));
    if (!exact) return std::nullopt;
    const size_t good = Confirmed(site, options, removals, before, *exact, &result.drift);
    order.resize(before + good);
    result.order = std::move(order);
    if (result.order.size() == total) {
      result.cost = std::move(exact->cost);
      result.error = std::move(exact->error);
      return result;
    }
    if (++result.refactorings > kMaxRefactorings) {
      throw Error("ERR_NUMERIC",
                  "the sweep drifts away from the exact refit in spite of refactoring",
                  "raise --lambda");
    }
  }
}

}  // namespace

std::optional<SweepState> MakeSweepState(const SiteProblem& site, const SweepOptions& options,
                                         const Ridge& ridge, const ColumnSplit& split) {
  const size_t kept = split.kept.size();
  auto solution = SolveKept(site, options.bias, ridge, split);
  if (!solution) return std::nullopt;
  SweepState state;
  state.columns = split.kept;
  state.inverse = InvertFactored(solution->factor);
  solution->factor = {};

  TileMatrix<double> weight = site.GatherWeight(split.kept);
  Add(1, solution->shift, weight);
  if (site.has_cross()) state.shift = std::move(solution->shift);
  solution.reset();
  TileMatrix<double> storage;
  const TileMatrix<double>& weighted = site.ApplyMetric(options.selection, weight, storage);
  state.energy = TileMatrix<double>(site.space(), kept, kept, Shape::kSymmetric);
  Multiply(1, {weight, Trans::kYes}, {weighted}, 0, state.energy);
  return state;
}

void SweepState::Compact(std::span<const int32_t> places) {
  for (TileMatrix<double>* matrix : {&inverse, &energy}) {
    TileMatrix<double> smaller(matrix->space(), places.size(), places.size(), Shape::kSymmetric);
    Gather(*matrix, places, places, smaller);
    *matrix = std::move(smaller);
  }
  for (size_t i = 0; i < places.size(); ++i) columns[i] = columns[places[i]];
  columns.resize(places.size());
}

Needs SweepNeeds(const Context& context, const ProblemShape& shape, size_t removed) {
  const size_t n = shape.in, half = HalfBytes(n), map = MapBytes(shape, n);
  const size_t shift = shape.cross ? map : 0;  // of the first state, up to the curve
  const size_t columns =
      shape.group == 1 ? GoneBeforeCompact(n, TileAxis(n, kTileSide).side()) : shape.group;
  const size_t made = std::max({
      3 * half + map,                                   // H_λ's factor, its inverse, P; the shift
      shift + 2 * half + (shape.fisher ? 2 : 1) * map,  // P, Q; W*, also in the metric
      CurveTiles(shape, removed),
  });
  // P, Q, and one of them made smaller.
  const size_t removal = shift + 2 * half + (removed > columns ? HalfBytes(n - columns) : 0);
  const bool on_device = DoublesNeedsOnDevice(context, n, shape.out).memory > 0;
  const size_t buffers = shape.group == 1 ? ColumnSweepDoubles(n)
                                          : BlockSweepDoubles(context, shape.group, n, on_device);
  Needs needs = StepNeeds(context, shape, made)
                    .Then(StepNeeds(context, shape, removal) + HeldDoubles(buffers));
  const double in = static_cast<double>(n), out = static_cast<double>(shape.out),
               left = static_cast<double>(n - removed);
  // P (in³), W* and Q (3 out in²); of every removal a product of what is left of P and two of Q,
  // all symmetric; for the curve a Cholesky factor and the solves of its right sides.
  needs.double_flops = in * in * in + 3 * out * in * in + (in * in * in - left * left * left) +
                       in * in * in / 3 + out * in * in;
  return needs;
}

SweepResult Sweep(const SiteProblem& site, const SweepOptions& options) {
  Check(site, options);
  return WithRisingRidge(site, options.bias,
                         [&](const Ridge& ridge) { return SweepWithRidge(site, options, ridge); });
}

}  // namespace struprune
