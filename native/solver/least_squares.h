// The ridge solution on a set of kept columns, as a correction of the dense weight:
// Ŵ_K = W_K + (W_R H_RK + D_K) (H_λ)_KK⁻¹ equals (C_λ)_K (H_λ)_KK⁻¹ with C_λ = W H_λ + D, and is
// exactly W_K where nothing was removed and R = 0.
#pragma once

#include <optional>

#include "solver/site_problem.h"

namespace struprune {

struct KeptSolution {
  TileMatrix<double> factor;  // [kept, kept] lower Cholesky factor of (H_λ)_KK
  TileMatrix<double> shift;   // [out, kept] Ŵ_K − W_K
};

// Empty when the Cholesky factorisation fails.
std::optional<KeptSolution> SolveKept(const SiteProblem& site, bool bias, const Ridge& ridge,
                                      const ColumnSplit& split);

// Δ [out, in] for a correction of the kept columns: shift there, −W where removed.
TileMatrix<double> FullDelta(const SiteProblem& site, const ColumnSplit& split,
                             const TileMatrix<double>& shift);

// ‖R‖² − 2 tr(D Δᵀ) + tr(Δ H Δᵀ) in the metric's unit (without ‖R‖² in the Fisher metric), plus
// tr(Δ Λ Δᵀ) when a ridge is given. `bias` true: H, D and R centred, which is the error with the
// best bias.
double ErrorOfDelta(const SiteProblem& site, Metric metric, bool bias,
                    const TileMatrix<double>& delta, const Ridge* ridge);

}  // namespace struprune
