// Groups of many columns: block Schur complements, one removal at a time. With Pg = P_:g, Qg =
// Q_:g,
//   A = Pg P_gg⁻¹,  U = Qg − ½ A Q_gg,  P ← P − A Pgᵀ,  Q ← Q − U Aᵀ − A Uᵀ.
#include <algorithm>
#include <atomic>
#include <limits>

#include "core/row_chunks.h"
#include "ops/cholesky.h"
#include "ops/gemm.h"
#include "ops/rows.h"
#include "solver/sweep_state.h"
#include "tiles/doubles_on_device.h"
#include "tiles/run_tiles.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

// tr(Q P⁻¹) of two blocks [width, width], of which P becomes its factor and Q is lost.
std::optional<double> CostOf(size_t width, double* p, double* q) {
  if (!Cholesky(width, p, width)) return std::nullopt;
  CholeskySolveRows(width, p, width, width, q, width);
  double trace = 0;
  for (size_t i = 0; i < width; ++i) trace += q[i * width + i];
  return std::max(trace, 0.0);
}

// Doubles of the buffers.
struct BlockCounts {
  BlockCounts(const Context& context, size_t width, size_t m)
      : scratch(RemovalScratch(width) * context.pool.size()), columns(m * width) {}
  size_t scratch, columns;
};

// P and Q on a GPU, as the sweep of columns has them there; their blocks on the diagonal stay here,
// since every removal asks for the costs of all groups.
class BlocksOnDevice {
 public:
  // Empty where the matrices stay here; else the state has none any more.
  static std::optional<BlocksOnDevice> Make(Context& context, SweepState& state, size_t width,
                                            size_t removals) {
    auto sweep = SweepOnDevice::Make(state.inverse, state.energy, width, removals * width);
    if (!sweep) return std::nullopt;
    BlocksOnDevice blocks(context, std::move(*sweep), width, state.columns.size());
    for (size_t block = 0; block < state.columns.size() / width; ++block) {
      const size_t start = block * width;
      ReadBlock(state.inverse, start, width, start, width, blocks.P(block));
      ReadBlock(state.energy, start, width, start, width, blocks.Q(block));
    }
    state.inverse = {}, state.energy = {};
    return blocks;
  }

  std::optional<double> Cost(size_t block, double* scratch) {
    const size_t cells = width_ * width_;
    std::copy_n(P(block), cells, scratch);
    std::copy_n(Q(block), cells, scratch + cells);
    return CostOf(width_, scratch, scratch + cells);
  }

  // Pg and Qg [m, width] of the group at a place.
  void Columns(size_t start, double* p, double* q) {
    sweep_.Rows(start, width_, rows_.data(), rows_.data() + width_ * m_);
    FromRows(rows_.data(), p);
    FromRows(rows_.data() + width_ * m_, q);
  }

  // With a = Pg L⁻ᵀ and u = U L⁻ᵀ for P_gg = L Lᵀ: A Pgᵀ = a aᵀ, U Aᵀ = u aᵀ.
  void Subtract(const double* a, const double* u) {
    context_.pool.ParallelFor(m_ / width_, [&](size_t block, size_t) {
      const double *ag = a + block * width_ * width_, *ug = u + block * width_ * width_;
      const auto subtract = [&](const double* left, const double* right, double* to) {
        Gemm(Trans::kNo, Trans::kYes, width_, width_, width_, -1.0, left, width_, right, width_,
             1.0, to, width_);
      };
      subtract(ag, ag, P(block));
      subtract(ug, ag, Q(block));
      subtract(ag, ug, Q(block));
    });
    ToRows(a, rows_.data());
    ToRows(u, rows_.data() + width_ * m_);
    sweep_.Subtract(width_, rows_.data(), rows_.data() + width_ * m_);
  }

  void Drop(size_t block, std::span<const int32_t> left) {
    sweep_.Compact(left);
    const size_t cells = width_ * width_, after = m_ / width_ - block - 1;
    std::copy_n(P(block + 1), after * cells, P(block));
    std::copy_n(Q(block + 1), after * cells, Q(block));
    m_ = left.size();
  }

 private:
  BlocksOnDevice(Context& context, SweepOnDevice sweep, size_t width, size_t m)
      : context_(context),
        sweep_(std::move(sweep)),
        width_(width),
        m_(m),
        p_(context.Allocate<double>(BlockCounts(context, width, m).columns)),
        q_(context.Allocate<double>(p_.size())),
        rows_(context.Allocate<double>(2 * p_.size())) {}

  double* P(size_t block) { return p_.data() + block * width_ * width_; }
  double* Q(size_t block) { return q_.data() + block * width_ * width_; }
  // [width, m] to [m, width], and back.
  void FromRows(const double* from, double* to) {
    ForChunks(context_, m_, [&](size_t first, size_t count, size_t) {
      for (size_t i = first; i < first + count; ++i) {
        for (size_t g = 0; g < width_; ++g) to[i * width_ + g] = from[g * m_ + i];
      }
    });
  }
  void ToRows(const double* from, double* to) {
    ForChunks(context_, m_, [&](size_t first, size_t count, size_t) {
      for (size_t g = 0; g < width_; ++g) {
        for (size_t i = first; i < first + count; ++i) to[g * m_ + i] = from[i * width_ + g];
      }
    });
  }

  Context& context_;
  SweepOnDevice sweep_;
  size_t width_, m_;
  Buffer<double> p_, q_;  // [m / width, width, width]
  Buffer<double> rows_;   // [2, width, m]
};

class BlockSweep {
 public:
  BlockSweep(const SiteProblem& site, const SweepOptions& options, SweepState& state,
             size_t removals)
      : context_(site.context()),
        options_(options),
        state_(state),
        width_(site.input().group),
        m_(state.columns.size()),
        on_device_(BlocksOnDevice::Make(context_, state, width_, removals)) {
    const BlockCounts n(context_, width_, m_);
    scratch_ = context_.Allocate<double>(n.scratch);
    for (auto* buffer : {&p_, &a_, &u_}) *buffer = context_.Allocate<double>(n.columns);
  }

  bool RemoveCheapest(std::vector<Removal>& removals) {
    const size_t count = m_ / width_;
    std::vector<double> costs(count);
    std::atomic<bool> positive{true};
    context_.pool.ParallelFor(count, [&](size_t block, size_t worker) {
      context_.CheckAbort();
      double* const scratch = scratch_.data() + RemovalScratch(width_) * worker;
      const auto cost = on_device_ ? on_device_->Cost(block, scratch)
                                   : RemovalCost(state_, block * width_, width_, scratch);
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
    double* corner = scratch_.data() + width_ * width_;  // Q_gg
    if (on_device_) {
      on_device_->Columns(start, p_.data(), u_.data());
    } else {
      ReadBlock(state_.inverse, 0, m_, start, width_, p_.data());
      ReadBlock(state_.energy, 0, m_, start, width_, u_.data());
    }
    std::copy_n(p_.data() + start * width_, width_ * width_, factor);
    if (!Cholesky(width_, factor, width_)) return false;
    std::copy_n(p_.data(), m_ * width_, a_.data());
    ParallelCholeskySolveRows(context_, width_, factor, width_, m_, a_.data(), width_);
    std::copy_n(u_.data() + start * width_, width_ * width_, corner);
    ParallelGemm(context_, Trans::kNo, Trans::kNo, m_, width_, width_, -0.5, a_.data(), width_,
                 corner, width_, 1, u_.data(), width_);
    if (on_device_) {
      ForChunks(context_, m_, [&](size_t first, size_t count, size_t) {
        for (double* x : {p_.data(), u_.data()}) {
          SolveLower(true, width_, factor, width_, count, x + first * width_, width_);
        }
      });
      on_device_->Subtract(p_.data(), u_.data());
      return true;
    }
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
    if (on_device_) {
      on_device_->Drop(start / width_, left);
      for (size_t i = 0; i < left.size(); ++i) state_.columns[i] = state_.columns[left[i]];
      state_.columns.resize(left.size());
    } else {
      state_.Compact(left);
    }
    m_ = left.size();
  }

  Context& context_;
  const SweepOptions& options_;
  SweepState& state_;
  const size_t width_;
  size_t m_;
  std::optional<BlocksOnDevice> on_device_;  // has the matrices where it is there
  Buffer<double> scratch_;                   // [workers, 2, width, width]
  Buffer<double> p_, a_, u_;                 // [m, width]
};

}  // namespace

size_t BlockSweepDoubles(const Context& context, size_t width, size_t m, bool on_device) {
  const BlockCounts n(context, width, m);
  // There the blocks on the diagonal of both, and rows of both on their way.
  return n.scratch + 3 * n.columns + (on_device ? 4 * n.columns : 0);
}

std::optional<double> RemovalCost(const SweepState& state, size_t start, size_t width,
                                  double* scratch) {
  double* factor = scratch;
  double* solved = scratch + width * width;
  ReadBlock(state.inverse, start, width, start, width, factor);
  ReadBlock(state.energy, start, width, start, width, solved);
  return CostOf(width, factor, solved);
}

bool RemoveBlocks(const SiteProblem& site, const SweepOptions& options, SweepState& state,
                  size_t count, std::vector<Removal>& removals) {
  BlockSweep sweep(site, options, state, count);
  for (size_t i = 0; i < count; ++i) {
    if (!sweep.RemoveCheapest(removals)) return false;
  }
  return true;
}

}  // namespace struprune
