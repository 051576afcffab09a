// Single columns. P and Q stay as they were at the start of a batch; what the batch's removals
// change is kept as low-rank factors. For the removal of column j, with p = P_:j and q = Q_:j as
// they are now,
//   a = p / √p_j,  u = (q − ½ (q_j / p_j) p) / √p_j,  P ← P − a aᵀ,  Q ← Q − u aᵀ − a uᵀ.
// Diagonals (so the costs) are current after every removal; only the chosen column is materialised;
// the matrices catch up once a batch, tile by tile. Columns that went stay in them, unused, until
// they fill a tile and are one in kGoneParts.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/simd.h"
#include "ops/gemm.h"
#include "solver/sweep_panel.h"
#include "tiles/doubles_on_device.h"
#include "tiles/reduce.h"
#include "tiles/run_tiles.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

constexpr size_t kGoneParts = 8;

// Elements of p and q that stay in the first cache.
constexpr size_t kCacheStrip = 512;
// Elements of a batch's factors from which on threads are worth waking for a removal.
constexpr size_t kWorthThreads = 100'000;

// p −= Σ a_tj a_t and q −= Σ (a_tj u_t + u_tj a_t) over the batch so far, of elements
// [start, end).
STRUPRUNE_CLONES void SubtractFactors(size_t m, size_t count, size_t j, size_t start, size_t end,
                                      const double* a, const double* u, double* p, double* q) {
  for (size_t t = 0; t < count; ++t) {
    const double* at = a + t * m;
    const double* ut = u + t * m;
    const double aj = at[j], uj = ut[j];
    for (size_t i = start; i < end; ++i) {
      p[i] -= aj * at[i];
      q[i] -= aj * ut[i] + uj * at[i];
    }
  }
}

// p becomes a and q becomes u; the diagonals follow.
STRUPRUNE_CLONES void MakeFactors(size_t m, double pivot, double energy, double* p, double* q,
                                  double* p_diagonal, double* q_diagonal) {
  const double scale = 1 / std::sqrt(pivot), share = 0.5 * energy / pivot;
  for (size_t i = 0; i < m; ++i) {
    q[i] = scale * (q[i] - share * p[i]);
    p[i] *= scale;
    p_diagonal[i] -= p[i] * p[i];
    q_diagonal[i] -= 2 * q[i] * p[i];
  }
}

// Removals of a batch. An update moves m² numbers, to scratch and back where they lie there, and a
// removal reads the factors of its batch, 2m a removal. Results depend on it in their last bits.
size_t BatchOf(size_t columns) {
  if (columns < 4096) return 64;
  return columns < 8192 ? 128 : 256;
}

class ColumnSweep {
 public:
  ColumnSweep(const SiteProblem& site, const SweepOptions& options, const Ridge& ridge,
              SweepState& state, size_t removals)
      : context_(site.context()),
        state_(state),
        m_(state.columns.size()),
        batch_(options.batch > 0 ? options.batch : BatchOf(m_)),
        a_(site.context().Allocate<double>(ColumnSweepDoubles(m_, batch_) / 2)),
        u_(site.context().Allocate<double>(ColumnSweepDoubles(m_, batch_) / 2)),
        side_(state.inverse.rows().side()),
        on_device_(SweepOnDevice::Make(state.inverse, state.energy, batch_, removals)),
        panel_(state, on_device_ ? 0 : batch_) {
    for (const int32_t column : state.columns) {
      // The inverse of a positive matrix has a diagonal of at least 1 / (its own diagonal).
      floor_.push_back(1 / (site.GramDiagonal(column, options.bias) + ridge.diagonal[column]));
      price_.push_back(options.group_costs.empty() ? 1 : options.group_costs[column]);
    }
    gone_.assign(m_, false);
    if (on_device_) state.inverse = {}, state.energy = {};
    ReadDiagonals();
    if (!on_device_) FillPanel();
  }

  size_t batch() const { return batch_; }

  void RunBatch(size_t count, std::vector<Removal>& removals) {
    for (size_t t = 0; t < count; ++t) removals.push_back(RemoveCheapest(t));
    gone_count_ += count;
  }

  // Brings the matrices up to date after a batch.
  void CatchUp(size_t count) {
    const bool compacts = gone_count_ >= GoneBeforeCompact(m_, side_);
    if (on_device_) {
      on_device_->Subtract(count, a_.data(), u_.data());
      if (compacts) Compact();
      return ReadDiagonals();
    }
    if (compacts) {
      panel_.Clear();
    } else {
      panel_.Choose(Costs());
    }
    Flush(count);
    if (compacts) Compact();
    ReadDiagonals();
    if (compacts) FillPanel();
  }

 private:
  double Cost(size_t i) const {
    return std::max(q_diagonal_[i], 0.0) / (std::max(p_diagonal_[i], floor_[i]) * price_[i]);
  }

  // Of all columns; infinite for those that went.
  std::vector<double> Costs() const {
    std::vector<double> costs(m_, std::numeric_limits<double>::infinity());
    for (size_t i = 0; i < m_; ++i) {
      if (!gone_[i]) costs[i] = Cost(i);
    }
    return costs;
  }

  void FillPanel() {
    panel_.Choose(Costs());
    panel_.TakeAll();
  }

  size_t Cheapest() const {
    size_t best = m_;
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < m_; ++i) {
      if (gone_[i]) continue;
      const double cost = Cost(i);
      if (cost < least || best == m_) {
        least = cost;
        best = i;
      }
    }
    return best;
  }

  // What the batch's first t removals changed, taken off column j's p and q: strip by strip, so
  // that threads make no difference to the bits.
  void Subtract(size_t t, size_t j, double* p, double* q) {
    const auto strip = [&](size_t index, size_t) {
      const size_t start = index * kCacheStrip, end = std::min(m_, start + kCacheStrip);
      SubtractFactors(m_, t, j, start, end, a_.data(), u_.data(), p, q);
    };
    const size_t strips = (m_ + kCacheStrip - 1) / kCacheStrip;
    if (t * m_ >= kWorthThreads) {
      context_.pool.ParallelFor(strips, strip);
    } else {
      for (size_t index = 0; index < strips; ++index) strip(index, 0);
    }
  }

  Removal RemoveCheapest(size_t t) {
    context_.CheckAbort();
    const size_t j = Cheapest();
    double* p = a_.data() + t * m_;
    double* q = u_.data() + t * m_;
    if (on_device_) {
      on_device_->Rows(j, 1, p, q);
    } else if (!panel_.Copy(j, p, q)) {
      ReadRows(state_.inverse, j, 1, p);
      ReadRows(state_.energy, j, 1, q);
    }
    Subtract(t, j, p, q);
    const double pivot = std::max(p[j], floor_[j]);
    const double energy = std::max(q[j], 0.0);
    MakeFactors(m_, pivot, energy, p, q, p_diagonal_.data(), q_diagonal_.data());
    gone_[j] = true;
    return {state_.columns[j], energy / pivot};
  }

  void Flush(size_t count) {
    const TileAxis& axis = state_.inverse.rows();
    EachTile(
        [&](size_t i, size_t j) {
          const auto p = state_.inverse.Update(i, j), q = state_.energy.Update(i, j);
          const double *a_rows = a_.data() + axis.begin(i), *a_columns = a_.data() + axis.begin(j);
          const double *u_rows = u_.data() + axis.begin(i), *u_columns = u_.data() + axis.begin(j);
          const auto subtract = [&](const double* rows, const double* columns,
                                    const Tile<double>& to) {
            Gemm(Trans::kYes, Trans::kNo, to.rows, to.cols, count, -1.0, rows, m_, columns, m_, 1.0,
                 to.data, to.stride);
          };
          subtract(a_rows, a_columns, p);
          subtract(u_rows, a_columns, q);
          subtract(a_rows, u_columns, q);
          panel_.Take(i, j, p.data, q.data, p.stride);
        },
        state_.inverse, state_.energy);
  }

  void Compact() {
    std::vector<int32_t> left;
    for (size_t i = 0; i < m_; ++i) {
      if (!gone_[i]) left.push_back(static_cast<int32_t>(i));
    }
    if (on_device_) {
      on_device_->Compact(left);
      for (size_t i = 0; i < left.size(); ++i) state_.columns[i] = state_.columns[left[i]];
      state_.columns.resize(left.size());
    } else {
      state_.Compact(left);
    }
    for (size_t i = 0; i < left.size(); ++i) {
      floor_[i] = floor_[left[i]];
      price_[i] = price_[left[i]];
    }
    m_ = left.size();
    gone_.assign(m_, false);
    gone_count_ = 0;
  }

  void ReadDiagonals() {
    if (on_device_) {
      p_diagonal_.resize(m_), q_diagonal_.resize(m_);
      return on_device_->Diagonals(p_diagonal_.data(), q_diagonal_.data());
    }
    p_diagonal_ = Diagonal(state_.inverse);
    q_diagonal_ = Diagonal(state_.energy);
  }

  Context& context_;
  SweepState& state_;
  size_t m_;
  size_t gone_count_ = 0;
  const size_t batch_;
  Buffer<double> a_, u_;  // [batch, m] factors of the running batch
  std::vector<double> p_diagonal_, q_diagonal_, floor_, price_;
  std::vector<char> gone_;
  const size_t side_;                       // of the matrices' tiles
  std::optional<SweepOnDevice> on_device_;  // has the matrices where it is there
  SweepPanel panel_;                        // takes of the memory that the factors leave
};

}  // namespace

size_t ColumnSweepDoubles(size_t m, size_t batch) {
  return 2 * (batch > 0 ? batch : BatchOf(m)) * m;
}

size_t GoneBeforeCompact(size_t m, size_t side) { return std::max(side, m / kGoneParts); }

void RemoveColumns(const SiteProblem& site, const SweepOptions& options, const Ridge& ridge,
                   SweepState& state, size_t count, std::vector<Removal>& removals) {
  ColumnSweep sweep(site, options, ridge, state, count);
  for (size_t done = 0; done < count;) {
    const size_t batch = std::min(sweep.batch(), count - done);
    sweep.RunBatch(batch, removals);
    done += batch;
    if (done < count) sweep.CatchUp(batch);
  }
}

}  // namespace struprune
