#include "solver/sweep_panel.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tiles/run_tiles.h"

namespace struprune {
namespace {

// Rows a removal of the batch: more than one, since every removal changes what the others cost.
constexpr size_t kRowsOfRemoval = 2;
// Of the memory that pages can fill, the panel takes one part in so many at most.
constexpr size_t kPanelParts = 2;
// So many times what the workers have in use there has to be room for, or the panel is not worth
// its while.
constexpr size_t kTimes = 2 * kPanelParts;

}  // namespace

SweepPanel::SweepPanel(const SweepState& state, size_t batch)
    : state_(state), width_(state.columns.size()) {
  const TileAxis& axis = state.inverse.rows();
  const TileSpace& space = state.inverse.space();
  const size_t tile_bytes = axis.side() * axis.side() * sizeof(double);
  const size_t tiles = axis.tiles() * (axis.tiles() + 1);  // of both halves
  const size_t capacity = space.store->Capacity();
  const size_t in_use = kTilesOfWorker * space.context->pool.size() * tile_bytes;
  if (capacity / tile_bytes >= tiles || capacity / kTimes < in_use) return;
  const size_t row_bytes = 2 * width_ * sizeof(double);
  const size_t rows =
      std::min({kRowsOfRemoval * batch, width_, capacity / kPanelParts / row_bytes});
  // A pass of its own over all tiles pays from half as many rows on as there are tiles in one.
  if (rows < axis.tiles()) return;
  most_rows_ = rows;
  rows_ = space.context->Allocate<double>(most_rows_ * 2 * width_);
}

void SweepPanel::Choose(std::span<const double> costs) {
  Clear();
  if (most_rows_ == 0) return;
  std::vector<size_t> cheapest(costs.size());
  std::iota(cheapest.begin(), cheapest.end(), size_t{0});
  const size_t count = std::min(most_rows_, cheapest.size());
  std::nth_element(cheapest.begin(), cheapest.begin() + static_cast<ptrdiff_t>(count - 1),
                   cheapest.end(), [&](size_t a, size_t b) { return costs[a] < costs[b]; });
  const TileAxis& axis = state_.inverse.rows();
  slot_of_.assign(costs.size(), -1);
  in_tile_.resize(axis.tiles());
  for (size_t slot = 0; slot < count; ++slot) {
    const size_t row = cheapest[slot];
    if (!std::isfinite(costs[row])) continue;
    slot_of_[row] = static_cast<int32_t>(slot);
    const size_t tile = axis.tile_of(row);
    in_tile_[tile].emplace_back(slot, row - axis.begin(tile));
  }
}

void SweepPanel::Clear() {
  slot_of_.clear();
  in_tile_.clear();
}

void SweepPanel::Take(size_t i, size_t j, const double* p, const double* q, size_t stride) {
  if (slot_of_.empty()) return;
  const TileAxis& axis = state_.inverse.rows();
  for (const auto& [slot, row] : in_tile_[i]) {
    double* to = Row(slot) + axis.begin(j);
    std::copy_n(p + row * stride, axis.count(j), to);
    std::copy_n(q + row * stride, axis.count(j), to + width_);
  }
  if (i == j) return;
  // The tile above the diagonal that this one stands for.
  for (const auto& [slot, column] : in_tile_[j]) {
    double* to = Row(slot) + axis.begin(i);
    for (size_t r = 0; r < axis.count(i); ++r) {
      to[r] = p[r * stride + column];
      to[width_ + r] = q[r * stride + column];
    }
  }
}

void SweepPanel::TakeAll() {
  if (slot_of_.empty()) return;
  EachTile(
      [&](size_t i, size_t j) {
        const auto p = state_.inverse.Read(i, j), q = state_.energy.Read(i, j);
        Take(i, j, p.data, q.data, p.stride);
      },
      state_.inverse, state_.energy);
}

bool SweepPanel::Copy(size_t j, double* p, double* q) const {
  if (slot_of_.empty() || slot_of_[j] < 0) return false;
  const size_t m = slot_of_.size();
  const double* from = Row(static_cast<size_t>(slot_of_[j]));
  std::copy_n(from, m, p);
  std::copy_n(from + width_, m, q);
  return true;
}

}  // namespace struprune
