#include "solver/swap.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "ops/cholesky.h"
#include "ops/gemm.h"
#include "solver/least_squares.h"
#include "solver/tableau.h"
#include "tiles/reduce.h"
#include "tiles/run_tiles.h"

namespace struprune {
namespace {

struct Pair {
  size_t leaves = 0;
  size_t enters = 0;
  double change = 0;  // of the penalised error, without the metric's unit
};

// tr(F T⁻¹) for s × s blocks; T is destroyed, F too. Negative when T is not positive.
double TraceRatio(size_t s, double* t, double* f) {
  if (!Cholesky(s, t, s)) return -1;
  CholeskySolveRows(s, t, s, s, f, s);
  double trace = 0;
  for (size_t i = 0; i < s; ++i) trace += f[i * s + i];
  return std::max(trace, 0.0);
}

// Earlier groups first where two exchanges are worth the same.
bool Better(const Pair& a, const Pair& b) {
  return std::tie(a.change, a.enters, a.leaves) < std::tie(b.change, b.enters, b.leaves);
}

constexpr Pair kNoPair{0, 0, std::numeric_limits<double>::infinity()};

// Single columns: r enters first, then i leaves, with the numbers of the tableau after r's pivot.
class ScalarPairs {
 public:
  explicit ScalarPairs(const Tableau& tableau)
      : tableau_(tableau),
        table_diagonal_(Diagonal(tableau.table())),
        energy_diagonal_(Diagonal(tableau.energy())) {}

  Pair Best() const {
    std::vector<Pair> best(tableau_.table().rows().tiles() * tableau_.table().cols().tiles(),
                           kNoPair);
    EachTile([&](size_t i,
                 size_t j) { best[i * tableau_.table().cols().tiles() + j] = BestInTile(i, j); },
             tableau_.table(), tableau_.energy());
    return *std::min_element(best.begin(), best.end(), Better);
  }

 private:
  Pair BestInTile(size_t i, size_t j) const {
    const auto t = tableau_.table().Read(i, j), f = tableau_.energy().Read(i, j);
    const std::vector<uint8_t>& keep = tableau_.keep();
    Pair best = kNoPair;
    for (size_t r = 0; r < t.rows; ++r) {
      const size_t row = tableau_.table().rows().begin(i) + r;
      for (size_t c = 0; c < t.cols; ++c) {
        const size_t column = tableau_.table().cols().begin(j) + c;
        if (keep[row] == keep[column]) continue;
        // T_ri of a removed r and a kept i is −T_ir.
        const Pair pair = keep[row] ? Exchange(row, column, -t.row(r)[c], f.row(r)[c])
                                    : Exchange(column, row, t.row(r)[c], f.row(r)[c]);
        if (Better(pair, best)) best = pair;
      }
    }
    return best;
  }

  Pair Exchange(size_t leaves, size_t enters, double table, double energy) const {
    const double pivot = table_diagonal_[enters], y = table / pivot;
    const double left = table_diagonal_[leaves] + table * y;
    const double after =
        energy_diagonal_[leaves] - 2 * energy * y + energy_diagonal_[enters] * y * y;
    return {leaves, enters, std::max(after, 0.0) / left - energy_diagonal_[enters] / pivot};
  }

  const Tableau& tableau_;
  const std::vector<double> table_diagonal_, energy_diagonal_;
};

// The same for blocks of s columns. One removed group against all kept ones.
class BlockPairs {
 public:
  BlockPairs(Context& context, const Tableau& tableau)
      : tableau_(tableau),
        width_(tableau.width()),
        buffer_(context.Allocate<double>(Doubles(width_))) {}

  static size_t Doubles(size_t width) { return 6 * width * width; }

  Pair Best(const std::vector<size_t>& kept, size_t enters) {
    const size_t s = width_, block = s * s;
    double* factor = buffer_.data();
    double* scratch = factor + block;
    Pair best{0, enters, std::numeric_limits<double>::infinity()};
    tableau_.ReadTable(enters, enters, scratch);
    tableau_.ReadEnergy(enters, enters, scratch + block);
    const double gain = TraceRatio(s, scratch, scratch + block);
    if (gain < 0) return best;
    tableau_.ReadTable(enters, enters, factor);
    if (!Cholesky(s, factor, s)) return best;
    for (const size_t leaves : kept) {
      const double cost = CostAfter(leaves, enters, factor, scratch);
      if (cost >= 0 && cost - gain < best.change) best = {leaves, enters, cost - gain};
    }
    return best;
  }

 private:
  // With v = T_ir = −T_riᵀ:  T_ii + v S⁻¹ vᵀ  and  F_ii + A F_ri + F_ir Aᵀ + A F_rr Aᵀ, A = v S⁻¹.
  double CostAfter(size_t leaves, size_t enters, const double* factor, double* scratch) const {
    const size_t s = width_, block = s * s;
    double* v = scratch;
    double* a = v + block;
    double* t = a + block;
    double* f = t + block;
    double* cross = f + block;
    tableau_.ReadTable(leaves, enters, v);
    std::copy_n(v, block, a);
    CholeskySolveRows(s, factor, s, s, a, s);
    tableau_.ReadTable(leaves, leaves, t);
    Gemm(Trans::kNo, Trans::kYes, s, s, s, 1, a, s, v, s, 1, t, s);
    // cross = F_ir + ½ A F_rr, so that the energy is F_ii + cross Aᵀ + A crossᵀ.
    tableau_.ReadEnergy(enters, enters, v);
    tableau_.ReadEnergy(leaves, enters, cross);
    Gemm(Trans::kNo, Trans::kNo, s, s, s, 0.5, a, s, v, s, 1, cross, s);
    tableau_.ReadEnergy(leaves, leaves, f);
    Gemm(Trans::kNo, Trans::kYes, s, s, s, 1, cross, s, a, s, 1, f, s);
    Gemm(Trans::kNo, Trans::kYes, s, s, s, 1, a, s, cross, s, 1, f, s);
    return TraceRatio(s, t, f);
  }

  const Tableau& tableau_;
  const size_t width_;
  Buffer<double> buffer_;
};

Pair BestPair(const SiteProblem& site, const Tableau& tableau) {
  std::vector<size_t> kept, removed;
  for (size_t g = 0; g < tableau.keep().size(); ++g) {
    (tableau.keep()[g] ? kept : removed).push_back(g);
  }
  if (kept.empty() || removed.empty()) return {};
  site.context().CheckAbort();
  if (tableau.width() == 1) return ScalarPairs(tableau).Best();
  Pair best;
  BlockPairs pairs(site.context(), tableau);
  for (const size_t enters : removed) {
    site.context().CheckAbort();
    const Pair pair = pairs.Best(kept, enters);
    if (pair.change < best.change) best = pair;
  }
  return best;
}

std::optional<double> Penalised(const SiteProblem& site, const SwapOptions& options,
                                const Ridge& ridge, std::span<const uint8_t> keep) {
  const ColumnSplit split = SplitColumns(site, keep);
  const auto solution = SolveKept(site, options.bias, ridge, split);
  if (!solution) return std::nullopt;
  const TileMatrix<double> delta = FullDelta(site, split, solution->shift);
  return ErrorOfDelta(site, options.metric, options.bias, delta, &ridge);
}

std::optional<SwapResult> SwapWithRidge(const SiteProblem& site, std::span<const uint8_t> keep,
                                        const SwapOptions& options, const Ridge& ridge) {
  const auto before = Penalised(site, options, ridge, keep);
  auto tableau = Tableau::Make(site, options.metric, options.bias, ridge, keep);
  if (!before || !tableau) return std::nullopt;
  SwapResult result;
  result.lambda = ridge.lambda;
  result.ridge_raised = ridge.raised;
  result.keep.assign(keep.begin(), keep.end());
  result.before = *before;
  double current = *before;
  for (;;) {
    const Pair pair = BestPair(site, *tableau);
    const double change = site.unit(options.metric) * pair.change;
    result.settled = !(change < -options.min_gain * std::abs(current));
    if (result.settled || result.swaps.size() >= options.max_swaps) break;
    if (!tableau->Pivot(pair.enters) || !tableau->Pivot(pair.leaves)) return std::nullopt;
    result.keep[pair.enters] = 1;
    result.keep[pair.leaves] = 0;
    result.swaps.emplace_back(static_cast<int32_t>(pair.leaves), static_cast<int32_t>(pair.enters));
    current += change;
  }
  const auto after = Penalised(site, options, ridge, result.keep);
  if (!after) return std::nullopt;
  result.after = *after;
  if (result.after > result.before) {  // rounding outweighed the gains: the start was as good
    result.keep.assign(keep.begin(), keep.end());
    result.swaps.clear();
    result.after = result.before;
  }
  return result;
}

}  // namespace

Needs SwapNeeds(const Context& context, const ProblemShape& shape, size_t kept) {
  const size_t map = MapBytes(shape, shape.in), tableau = 2 * HalfBytes(shape.in);
  // The error in the end, beside the tableau: the solution, Δ and its gradient, also in the metric.
  const size_t measuring =
      tableau + HalfBytes(kept) + MapBytes(shape, kept) + (shape.fisher ? 3 : 2) * map;
  const size_t made = std::max(Tableau::MakeTiles(shape, kept), measuring);
  const size_t pivot = Tableau::PivotCounts(shape.in, shape.group).Total();
  const Needs buffers = HeldDoubles(std::max(pivot, BlockPairs::Doubles(shape.group)));
  return StepNeeds(context, shape, made).Then(StepNeeds(context, shape, tableau) + buffers);
}

SwapResult SwapPass(const SiteProblem& site, std::span<const uint8_t> keep,
                    const SwapOptions& options) {
  site.RequireMetric(options.metric);
  return WithRisingRidge(site, options.bias, [&](const Ridge& ridge) {
    return SwapWithRidge(site, keep, options, ridge);
  });
}

}  // namespace struprune
