#include "solver/swap.h"

#include <algorithm>
#include <limits>

#include "ops/gemm.h"
#include "solver/least_squares.h"
#include "solver/tableau.h"

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

// Single columns: r enters first, then i leaves, with the numbers of the tableau after r's pivot.
double ScalarChange(const Tableau& tableau, size_t i, size_t r) {
  const size_t n = tableau.size();
  const double* t = tableau.table();
  const double* f = tableau.energy();
  const double pivot = t[r * n + r];
  const double y = t[r * n + i] / pivot;
  const double left = t[i * n + i] - t[i * n + r] * y;
  const double energy = f[i * n + i] - 2 * f[i * n + r] * y + f[r * n + r] * y * y;
  return std::max(energy, 0.0) / left - f[r * n + r] / pivot;
}

Pair BestScalarPair(Context& context, const Tableau& tableau, const std::vector<size_t>& kept,
                    const std::vector<size_t>& removed) {
  std::vector<Pair> best(removed.size());
  context.pool.ParallelFor(removed.size(), [&](size_t index, size_t) {
    Pair& own = best[index];
    own.change = std::numeric_limits<double>::infinity();
    for (const size_t i : kept) {
      const double change = ScalarChange(tableau, i, removed[index]);
      if (change < own.change) own = {i, removed[index], change};
    }
  });
  return *std::min_element(best.begin(), best.end(),
                           [](const Pair& a, const Pair& b) { return a.change < b.change; });
}

// The same for blocks of s columns. One removed group against all kept ones.
class BlockPairs {
 public:
  BlockPairs(Context& context, const Tableau& tableau, size_t width)
      : tableau_(tableau), width_(width), buffer_(context.Allocate<double>(6 * width * width)) {}

  Pair Best(const std::vector<size_t>& kept, size_t enters) {
    const size_t s = width_, block = s * s;
    double* factor = buffer_.data();
    double* scratch = factor + block;
    Pair best{0, enters, std::numeric_limits<double>::infinity()};
    Copy(tableau_.table(), enters, enters, scratch);
    Copy(tableau_.energy(), enters, enters, scratch + block);
    const double gain = TraceRatio(s, scratch, scratch + block);
    if (gain < 0) return best;
    Copy(tableau_.table(), enters, enters, factor);
    if (!Cholesky(s, factor, s)) return best;
    for (const size_t leaves : kept) {
      const double cost = CostAfter(leaves, enters, factor, scratch);
      if (cost >= 0 && cost - gain < best.change) best = {leaves, enters, cost - gain};
    }
    return best;
  }

 private:
  void Copy(const double* from, size_t row_group, size_t column_group, double* to) const {
    for (size_t i = 0; i < width_; ++i) {
      std::copy_n(from + (row_group * width_ + i) * tableau_.size() + column_group * width_, width_,
                  to + i * width_);
    }
  }

  // With v = T_ir = −T_riᵀ:  T_ii + v S⁻¹ vᵀ  and  F_ii + A F_ri + F_ir Aᵀ + A F_rr Aᵀ, A = v S⁻¹.
  double CostAfter(size_t leaves, size_t enters, const double* factor, double* scratch) const {
    const size_t s = width_, block = s * s;
    double* v = scratch;
    double* a = v + block;
    double* t = a + block;
    double* f = t + block;
    double* cross = f + block;
    Copy(tableau_.table(), leaves, enters, v);
    std::copy_n(v, block, a);
    CholeskySolveRows(s, factor, s, s, a, s);
    Copy(tableau_.table(), leaves, leaves, t);
    Gemm(Trans::kNo, Trans::kYes, s, s, s, 1, a, s, v, s, 1, t, s);
    // cross = F_ir + ½ A F_rr, so that the energy is F_ii + cross Aᵀ + A crossᵀ.
    Copy(tableau_.energy(), enters, enters, v);
    Copy(tableau_.energy(), leaves, enters, cross);
    Gemm(Trans::kNo, Trans::kNo, s, s, s, 0.5, a, s, v, s, 1, cross, s);
    Copy(tableau_.energy(), leaves, leaves, f);
    Gemm(Trans::kNo, Trans::kYes, s, s, s, 1, cross, s, a, s, 1, f, s);
    Gemm(Trans::kNo, Trans::kYes, s, s, s, 1, a, s, cross, s, 1, f, s);
    return TraceRatio(s, t, f);
  }

  const Tableau& tableau_;
  const size_t width_;
  Buffer<double> buffer_;
};

Pair BestPair(const SiteProblem& site, const Tableau& tableau, const std::vector<uint8_t>& keep) {
  std::vector<size_t> kept, removed;
  for (size_t g = 0; g < keep.size(); ++g) (keep[g] ? kept : removed).push_back(g);
  if (kept.empty() || removed.empty()) return {};
  Context& context = site.context();
  context.CheckAbort();
  if (site.input().group == 1) return BestScalarPair(context, tableau, kept, removed);
  Pair best;
  BlockPairs pairs(context, tableau, site.input().group);
  for (const size_t enters : removed) {
    context.CheckAbort();
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
  const Buffer<double> delta = FullDelta(site, split, solution->shift.data());
  return ErrorOfDelta(site, options.metric, options.bias, delta.data(), &ridge);
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
    const Pair pair = BestPair(site, *tableau, result.keep);
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

SwapResult SwapPass(const SiteProblem& site, std::span<const uint8_t> keep,
                    const SwapOptions& options) {
  site.RequireMetric(options.metric);
  return WithRisingRidge(site, options.bias, [&](const Ridge& ridge) {
    return SwapWithRidge(site, keep, options, ridge);
  });
}

}  // namespace struprune
