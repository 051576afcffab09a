// Rows of P and Q that the coming removals will probably ask for, kept together in memory where the
// matrices themselves lie in scratch: a row crosses every tile of its height, so that reading it by
// itself brings in a whole strip of tiles. It holds copies: what is read does not depend on it.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "solver/sweep_state.h"

namespace struprune {

class SweepPanel {
 public:
  // Without room for a row where both matrices fit into memory.
  SweepPanel(const SweepState& state, size_t batch);

  // Makes place for the rows of the cheapest columns, of those at a finite cost, [m], as many as
  // there is room for. Take fills them.
  void Choose(std::span<const double> costs);
  void Clear();
  // What the chosen rows have in tile (i, j) of both matrices, which are cut alike. Threads may
  // take different tiles at once.
  void Take(size_t i, size_t j, const double* p, const double* q, size_t stride);
  // All tiles of the state, in a pass of its own.
  void TakeAll();
  // Row j of both, [m] each; false where it is not here.
  bool Copy(size_t j, double* p, double* q) const;

 private:
  double* Row(size_t slot) { return rows_.data() + slot * 2 * width_; }
  const double* Row(size_t slot) const { return rows_.data() + slot * 2 * width_; }

  const SweepState& state_;
  size_t width_ = 0;  // columns at the start: they only become fewer
  size_t most_rows_ = 0;
  Buffer<double> rows_;           // [most_rows, 2, width]: P's row, then Q's
  std::vector<int32_t> slot_of_;  // [m] or empty; -1: not here
  std::vector<std::vector<std::pair<size_t, size_t>>> in_tile_;  // a tile's rows: slot, row in it
};

}  // namespace struprune
