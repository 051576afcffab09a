// Groups of many columns: block Schur complements, one removal at a time. With Pg = P_:g, Qg =
// Q_:g,
//   A = Pg P_gg⁻¹,  U = Qg − ½ A Q_gg,  P ← P − A Pgᵀ,  Q ← Q − U Aᵀ − A Uᵀ.
#include <algorithm>
#include <atomic>
#include <limits>

#include "ops/gemm.h"
#include "ops/rows.h"
#include "solver/sweep_state.h"

namespace struprune {
namespace {

void CopyBlock(size_t rows, size_t columns, const double* from, size_t ld, double* to) {
  for (size_t r = 0; r < rows; ++r) std::copy_n(from + r * ld, columns, to + r * columns);
}

class BlockSweep {
 public:
  BlockSweep(const SiteProblem& site, const SweepOptions& options, SweepState& state)
      : context_(site.context()),
        options_(options),
        state_(state),
        width_(site.input().group),
        m_(state.columns.size()) {
    const size_t block = width_ * width_;
    scratch_ = context_.Allocate<double>(2 * block * context_.pool.size());
    a_ = context_.Allocate<double>(m_ * width_);
    u_ = context_.Allocate<double>(m_ * width_);
  }

  bool RemoveCheapest(std::vector<Removal>& removals) {
    const size_t count = m_ / width_;
    std::vector<double> costs(count);
    std::atomic<bool> positive{true};
    context_.pool.ParallelFor(count, [&](size_t block, size_t worker) {
      context_.CheckAbort();
      if (!Cost(block, scratch_.data() + 2 * width_ * width_ * worker, &costs[block])) {
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

  // tr(Q_gg P_gg⁻¹).
  bool Cost(size_t block, double* scratch, double* cost) const {
    const size_t corner = block * width_ * (m_ + 1);
    double* factor = scratch;
    double* solved = scratch + width_ * width_;
    CopyBlock(width_, width_, state_.inverse.data() + corner, m_, factor);
    CopyBlock(width_, width_, state_.energy.data() + corner, m_, solved);
    if (!Cholesky(width_, factor, width_)) return false;
    CholeskySolveRows(width_, factor, width_, width_, solved, width_);
    double trace = 0;
    for (size_t i = 0; i < width_; ++i) trace += solved[i * width_ + i];
    *cost = std::max(trace, 0.0);
    return true;
  }

  bool Downdate(size_t start) {
    double* p = state_.inverse.data();
    double* q = state_.energy.data();
    double* factor = scratch_.data();
    CopyBlock(width_, width_, p + start * (m_ + 1), m_, factor);
    if (!Cholesky(width_, factor, width_)) return false;
    CopyBlock(m_, width_, p + start, m_, a_.data());
    CopyBlock(m_, width_, q + start, m_, u_.data());
    ParallelCholeskySolveRows(context_, width_, factor, width_, m_, a_.data(), width_);
    ParallelGemm(context_, Trans::kNo, Trans::kNo, m_, width_, width_, -0.5, a_.data(), width_,
                 q + start * (m_ + 1), m_, 1, u_.data(), width_);
    // P's own rows are being written: the right factor is a copy.
    Buffer<double> rows = context_.Allocate<double>(width_ * m_);
    std::copy_n(p + start * m_, width_ * m_, rows.data());
    ParallelGemm(context_, Trans::kNo, Trans::kNo, m_, m_, width_, -1, a_.data(), width_,
                 rows.data(), m_, 1, p, m_);
    ParallelGemm(context_, Trans::kNo, Trans::kYes, m_, m_, width_, -1, u_.data(), width_,
                 a_.data(), width_, 1, q, m_);
    ParallelGemm(context_, Trans::kNo, Trans::kYes, m_, m_, width_, -1, a_.data(), width_,
                 u_.data(), width_, 1, q, m_);
    return true;
  }

  void Drop(size_t start) {
    std::vector<size_t> kept;
    for (size_t i = 0; i < m_; ++i) {
      if (i < start || i >= start + width_) kept.push_back(i);
    }
    CompactSquare(m_, kept, state_.inverse.data());
    CompactSquare(m_, kept, state_.energy.data());
    const auto first = state_.columns.begin() + static_cast<ptrdiff_t>(start);
    state_.columns.erase(first, first + static_cast<ptrdiff_t>(width_));
    m_ = kept.size();
  }

  Context& context_;
  const SweepOptions& options_;
  SweepState& state_;
  const size_t width_;
  size_t m_;
  Buffer<double> scratch_;  // [workers, 2, width, width]
  Buffer<double> a_, u_;    // [m, width]
};

}  // namespace

bool RemoveBlocks(const SiteProblem& site, const SweepOptions& options, SweepState& state,
                  size_t count, std::vector<Removal>& removals) {
  BlockSweep sweep(site, options, state);
  for (size_t i = 0; i < count; ++i) {
    if (!sweep.RemoveCheapest(removals)) return false;
  }
  return true;
}

}  // namespace struprune
