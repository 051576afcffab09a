// Inner parts of the sweep: the downdated matrices and the two ways of removing from them.
#pragma once

#include <optional>
#include <vector>

#include "solver/sweep_options.h"

namespace struprune {

// The exact state on a set of kept columns.
struct SweepState {
  std::vector<int32_t> columns;  // [m] ascending
  TileMatrix<double> inverse;    // [m, m] P = (H_λ)_KK⁻¹, symmetric
  TileMatrix<double> energy;     // [m, m] Q = Ŵ_Kᵀ G Ŵ_K, symmetric
  TileMatrix<double> shift;      // [out, m] Ŵ_K − W_K where R is not 0; no removal changes it

  // Keeps the rows and columns at those places (ascending).
  void Compact(std::span<const int32_t> places);
};

struct Removal {
  int32_t group;
  double cost;  // tr(Q_gg P_gg⁻¹), without the metric's unit
};

std::optional<SweepState> MakeSweepState(const SiteProblem& site, const SweepOptions& options,
                                         const Ridge& ridge, const ColumnSplit& split);

// Doubles of scratch that RemovalCost takes.
constexpr size_t RemovalScratch(size_t width) { return 2 * width * width; }
// tr(Q_gg P_gg⁻¹) of the `width` columns from place `start` on: what their removal costs, without
// the metric's unit. Empty when P_gg is no longer positive.
std::optional<double> RemovalCost(const SweepState& state, size_t start, size_t width,
                                  double* scratch);

// Doubles of the buffers of RemoveColumns and of RemoveBlocks beside m columns.
size_t ColumnSweepDoubles(size_t m, size_t batch = 0);
size_t BlockSweepDoubles(const Context& context, size_t width, size_t m, bool on_device);
// Columns that have to be gone before a sweep gives their memory back.
size_t GoneBeforeCompact(size_t m, size_t side);

// Both append `count` removals and use the state up. Groups of one column; batched delayed updates.
void RemoveColumns(const SiteProblem& site, const SweepOptions& options, const Ridge& ridge,
                   SweepState& state, size_t count, std::vector<Removal>& removals);
// Groups of any width; one block downdate a removal. False when a block of P is no longer positive.
bool RemoveBlocks(const SiteProblem& site, const SweepOptions& options, SweepState& state,
                  size_t count, std::vector<Removal>& removals);

// What a given order of removal costs, from one Cholesky in that order and no running sums of
// matrices. `shift` [out, in] = W* − W saves solving for it; it may be empty.
struct ExactCurve {
  std::vector<double> cost;   // [removed groups], selection metric
  std::vector<double> error;  // [removed groups + 1], curve metric
};
// Most bytes of tiles that it has at a time.
size_t CurveTiles(const ProblemShape& shape, size_t removed);
std::optional<ExactCurve> MeasureCurve(const SiteProblem& site, const SweepOptions& options,
                                       const Ridge& ridge, const std::vector<int32_t>& order,
                                       TileMatrix<double> shift);

}  // namespace struprune
