// Single columns. P and Q stay as they were at the start of a batch; what the batch's removals
// change is kept as low-rank factors. For the removal of column j, with p = P_:j and q = Q_:j as
// they are now,
//   a = p / p_j,  u = q − ½ q_j a,  P ← P − p_j a aᵀ,  Q ← Q − u aᵀ − a uᵀ.
// Diagonals (so the costs) are current after every removal; only the chosen column is materialised;
// the matrices catch up by one GEMM a batch.
#include <algorithm>
#include <limits>

#include "core/simd.h"
#include "ops/gemm.h"
#include "ops/rows.h"
#include "solver/sweep_state.h"

namespace struprune {
namespace {

// p −= Σ d_t a_tj a_t and q −= Σ (a_tj u_t + u_tj a_t) over the batch so far.
STRUPRUNE_CLONES void SubtractFactors(size_t m, size_t count, size_t j, const double* pivots,
                                      const double* a, const double* u, double* p, double* q) {
  constexpr size_t kStrip = 512;  // p and q strips stay in the first cache
  for (size_t start = 0; start < m; start += kStrip) {
    const size_t end = std::min(m, start + kStrip);
    for (size_t t = 0; t < count; ++t) {
      const double* at = a + t * m;
      const double* ut = u + t * m;
      const double ap = pivots[t] * at[j], aq = ut[j], uq = at[j];
      for (size_t i = start; i < end; ++i) {
        p[i] -= ap * at[i];
        q[i] -= uq * ut[i] + aq * at[i];
      }
    }
  }
}

STRUPRUNE_CLONES void UpdateDiagonals(size_t m, double pivot, const double* a, const double* u,
                                      double* p_diagonal, double* q_diagonal) {
  for (size_t i = 0; i < m; ++i) {
    p_diagonal[i] -= pivot * a[i] * a[i];
    q_diagonal[i] -= 2 * u[i] * a[i];
  }
}

class ColumnSweep {
 public:
  ColumnSweep(const SiteProblem& site, const SweepOptions& options, const Ridge& ridge,
              SweepState& state)
      : context_(site.context()), state_(state), m_(state.columns.size()) {
    const size_t batch = options.batch;
    a_ = context_.Allocate<double>(batch * m_);
    u_ = context_.Allocate<double>(batch * m_);
    pivots_.resize(batch);
    for (size_t i = 0; i < m_; ++i) {
      const int32_t column = state.columns[i];
      p_diagonal_.push_back(state.inverse[i * m_ + i]);
      q_diagonal_.push_back(state.energy[i * m_ + i]);
      // The inverse of a positive matrix has a diagonal of at least 1 / (its own diagonal).
      floor_.push_back(1 / (site.GramDiagonal(column, options.bias) + ridge.diagonal[column]));
      price_.push_back(options.group_costs.empty() ? 1 : options.group_costs[column]);
    }
    gone_.assign(m_, false);
  }

  // Removes `count` columns, count <= batch, and brings the matrices up to date.
  void RunBatch(size_t count, std::vector<Removal>& removals) {
    for (size_t t = 0; t < count; ++t) removals.push_back(RemoveCheapest(t));
    Flush(count);
  }

 private:
  size_t Cheapest() const {
    size_t best = m_;
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < m_; ++i) {
      if (gone_[i]) continue;
      const double cost =
          std::max(q_diagonal_[i], 0.0) / (std::max(p_diagonal_[i], floor_[i]) * price_[i]);
      if (cost < least || best == m_) {
        least = cost;
        best = i;
      }
    }
    return best;
  }

  Removal RemoveCheapest(size_t t) {
    const size_t j = Cheapest();
    double* p = a_.data() + t * m_;
    double* q = u_.data() + t * m_;
    std::copy_n(state_.inverse.data() + j * m_, m_, p);
    std::copy_n(state_.energy.data() + j * m_, m_, q);
    SubtractFactors(m_, t, j, pivots_.data(), a_.data(), u_.data(), p, q);
    for (size_t i = 0; i < m_; ++i) {
      if (gone_[i]) p[i] = q[i] = 0;
    }
    const double pivot = std::max(p[j], floor_[j]);
    const double energy = std::max(q[j], 0.0);
    for (size_t i = 0; i < m_; ++i) p[i] /= pivot;  // p becomes a, q becomes u
    for (size_t i = 0; i < m_; ++i) q[i] -= 0.5 * energy * p[i];
    UpdateDiagonals(m_, pivot, p, q, p_diagonal_.data(), q_diagonal_.data());
    pivots_[t] = pivot;
    gone_[j] = true;
    return {state_.columns[j], energy / pivot};
  }

  void Flush(size_t count) {
    std::vector<size_t> kept;
    for (size_t i = 0; i < m_; ++i) {
      if (!gone_[i]) kept.push_back(i);
    }
    const size_t left = kept.size();
    if (left > 0) {
      CompactSquare(m_, kept, state_.inverse.data());
      CompactSquare(m_, kept, state_.energy.data());
      // Left [A; U] and right [U; A] share one GEMM of depth 2 count; D A and A one of depth count.
      Buffer<double> factors = context_.Allocate<double>(4 * count * left);
      double* a = factors.data();
      double* u = a + count * left;
      double* a_again = u + count * left;
      double* scaled = a_again + count * left;
      for (size_t t = 0; t < count; ++t) {
        for (size_t i = 0; i < left; ++i) {
          const double value = a_[t * m_ + kept[i]];
          a[t * left + i] = a_again[t * left + i] = value;
          scaled[t * left + i] = pivots_[t] * value;
          u[t * left + i] = u_[t * m_ + kept[i]];
        }
      }
      ParallelGemm(context_, Trans::kYes, Trans::kNo, left, left, count, -1, a, left, scaled, left,
                   1, state_.inverse.data(), left);
      ParallelGemm(context_, Trans::kYes, Trans::kNo, left, left, 2 * count, -1, a, left, u, left,
                   1, state_.energy.data(), left);
    }
    Compact(kept);
  }

  void Compact(const std::vector<size_t>& kept) {
    for (size_t i = 0; i < kept.size(); ++i) {
      state_.columns[i] = state_.columns[kept[i]];
      floor_[i] = floor_[kept[i]];
      price_[i] = price_[kept[i]];
      p_diagonal_[i] = state_.inverse[i * kept.size() + i];
      q_diagonal_[i] = state_.energy[i * kept.size() + i];
    }
    m_ = kept.size();
    state_.columns.resize(m_);
    gone_.assign(m_, false);
  }

  Context& context_;
  SweepState& state_;
  size_t m_;
  Buffer<double> a_, u_;  // [batch, m] factors of the running batch
  std::vector<double> pivots_, p_diagonal_, q_diagonal_, floor_, price_;
  std::vector<char> gone_;
};

}  // namespace

void RemoveColumns(const SiteProblem& site, const SweepOptions& options, const Ridge& ridge,
                   SweepState& state, size_t count, std::vector<Removal>& removals) {
  ColumnSweep sweep(site, options, ridge, state);
  for (size_t done = 0; done < count;) {
    const size_t batch = std::min(options.batch, count - done);
    site.context().CheckAbort();
    sweep.RunBatch(batch, removals);
    done += batch;
  }
}

}  // namespace struprune
