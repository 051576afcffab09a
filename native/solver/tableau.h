// The solution on a kept set together with what every removed column would bring, in one square
// matrix that a change of the set updates in place (Gauss-Jordan pivots).
#pragma once

#include <optional>

#include "solver/site_problem.h"

namespace struprune {

// table [in, in]:  P = (H_λ)_KK⁻¹ on kept × kept,  P H_KR on kept × removed, its negative on
//   removed × kept, and the Schur complement H_RR − H_RK P H_KR on removed × removed.
// energy [in, in]: Eᵀ G E, where E_:j is −Ŵ_:j for a kept and (C_λ − Ŵ H_λ)_:j for a removed
// column. In both roles the price of moving group g over is tr(energy_gg table_gg⁻¹): a rise when
// it leaves, a fall when it enters.
class Tableau {
 public:
  // Most bytes of tiles that it has while it is made, and doubles of the buffers of a pivot.
  static size_t MakeTiles(const ProblemShape& shape, size_t kept);
  struct PivotCounts {
    PivotCounts(size_t in, size_t width) : columns(in * width), block(width * width) {}
    size_t Total() const { return 4 * columns + 2 * block; }
    size_t columns, block;
  };

  // Empty when the Cholesky factorisation of H_λ fails, on the kept columns or on the removed ones.
  static std::optional<Tableau> Make(const SiteProblem& site, Metric metric, bool bias,
                                     const Ridge& ridge, std::span<const uint8_t> keep);

  // Tiles on and below the diagonal; the others mirror them, those of `table` with the sign of
  // Mirror.
  const TileMatrix<double>& table() const { return table_; }
  const TileMatrix<double>& energy() const { return energy_; }
  // [groups] 1 = kept.
  const std::vector<uint8_t>& keep() const { return keep_; }
  size_t width() const { return width_; }
  // to[width, width] = the table or the energy at groups (rows, columns).
  void ReadTable(size_t rows, size_t columns, double* to) const;
  void ReadEnergy(size_t rows, size_t columns, double* to) const;

  // Moves group g from one side to the other. False when its block is not positive.
  bool Pivot(size_t g);

 private:
  Tableau(const SiteProblem& site, std::span<const uint8_t> keep);
  void ReadColumns(size_t g, double* to) const;

  size_t width_;
  std::vector<uint8_t> keep_;
  TileMatrix<double> table_;
  TileMatrix<double> energy_;
};

}  // namespace struprune
