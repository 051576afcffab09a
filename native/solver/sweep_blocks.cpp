// Groups of many columns: block Schur complements, one removal at a time. With Pg = P_:g, Qg =
// Q_:g,
//   A = Pg P_gg⁻¹,  U = Qg − ½ A Q_gg,  P ← P − A Pgᵀ,  Q ← Q − U Aᵀ − A Uᵀ.
#include <algorithm>
#include <atomic>
#include <limits>

#include "ops/gemm.h"
#include "solver/sweep_state.h"
#include "tiles/run_tiles.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

class BlockSweep {
 public:
  BlockSweep(const SiteProblem& site, const SweepOptions& options, SweepState& state)
      : context_(site.context()),
        options_(options),
        state_(state),
        width_(site.input().group),
        m_(state.columns.size()) {
    scratch_ = context_.Allocate<double>(RemovalScratch(width_) * context_.pool.size());
    p_ = context_.Allocate<double>(m_ * width_);
    a_ = context_.Allocate<double>(m_ * width_);
    u_ = context_.Allocate<double>(m_ * width_);
  }

  bool RemoveCheapest(std::vector<Removal>& removals) {
    const size_t count = m_ / width_;
    std::vector<double> costs(count);
    std::atomic<bool> positive{true};
    context_.pool.ParallelFor(count, [&](size_t block, size_t worker) {
      context_.CheckAbort();
      const auto cost = RemovalCost(state_, block * width_, width_,
                                    scratch_.data() + RemovalScratch(width_) * worker);
      if (cost) {
        costs[block] = *cost;
      } else {
        positive = false;
      }
    });
    if (!positive) return false;
    size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (size_t block = 0; block < count; ++block) {
      const double price = options_.group_costs.empty() ? 1 : options_.group_costs[Group(block)];
      if (costs[block] / price < least) {
        least = costs[block] / price;
        best = block;
      }
    }
    removals.push_back({Group(best), costs[best]});
    if (!Downdate(best * width_)) return false;
    Drop(best * width_);
    return true;
  }

 private:
  int32_t Group(size_t block) const {
    return state_.columns[block * width_] / static_cast<int32_t>(width_);
  }

  bool Downdate(size_t start) {
    double* factor = scratch_.data();
    ReadBlock(state_.inverse, start, width_, start, width_, factor);
    if (!Cholesky(width_, factor, width_)) return false;
    ReadBlock(state_.inverse, 0, m_, start, width_, p_.data());
    ReadBlock(state_.energy, 0, m_, start, width_, u_.data());
    std::copy_n(p_.data(), m_ * width_, a_.data());
    ParallelCholeskySolveRows(context_, width_, factor, width_, m_, a_.data(), width_);
    double* corner = scratch_.data();  // Q_gg; the factor is not needed any more
    std::copy_n(u_.data() + start * width_, width_ * width_, corner);
    ParallelGemm(context_, Trans::kNo, Trans::kNo, m_, width_, width_, -0.5, a_.data(), width_,
                 corner, width_, 1, u_.data(), width_);
    const TileAxis& axis = state_.inverse.rows();
    EachTile(
        [&](size_t i, size_t j) {
          const auto p = state_.inverse.Update(i, j), q = state_.energy.Update(i, j);
          const auto subtract = [&](const Buffer<double>& rows, const Buffer<double>& columns,
                                    const Tile<double>& to) {
            Gemm(Trans::kNo, Trans::kYes, to.rows, to.cols, width_, -1.0,
                 rows.data() + axis.begin(i) * width_, width_,
                 columns.data() + axis.begin(j) * width_, width_, 1.0, to.data, to.stride);
          };
          subtract(a_, p_, p);
          subtract(u_, a_, q);
          subtract(a_, u_, q);
        },
        state_.inverse, state_.energy);
    return true;
  }

  void Drop(size_t start) {
    std::vector<int32_t> left;
    for (size_t i = 0; i < m_; ++i) {
      if (i < start || i >= start + width_) left.push_back(static_cast<int32_t>(i));
    }
    state_.Compact(left);
    m_ = left.size();
  }

  Context& context_;
  const SweepOptions& options_;
  SweepState& state_;
  const size_t width_;
  size_t m_;
  Buffer<double> scratch_;    // [workers, 2, width, width]
  Buffer<double> p_, a_, u_;  // [m, width]
};

}  // namespace

std::optional<double> RemovalCost(const SweepState& state, size_t start, size_t width,
                                  double* scratch) {
  double* factor = scratch;
  double* solved = scratch + width * width;
  ReadBlock(state.inverse, start, width, start, width, factor);
  ReadBlock(state.energy, start, width, start, width, solved);
  if (!Cholesky(width, factor, width)) return std::nullopt;
  CholeskySolveRows(width, factor, width, width, solved, width);
  double trace = 0;
  for (size_t i = 0; i < width; ++i) trace += solved[i * width + i];
  return std::max(trace, 0.0);
}

bool RemoveBlocks(const SiteProblem& site, const SweepOptions& options, SweepState& state,
                  size_t count, std::vector<Removal>& removals) {
  BlockSweep sweep(site, options, state);
  for (size_t i = 0; i < count; ++i) {
    if (!sweep.RemoveCheapest(removals)) return false;
  }
  return true;
}

}  // namespace struprune
