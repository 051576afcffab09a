// Rounding to a block type whose errors make up for each other.
#pragma once

#include "core/dtype.h"
#include "tiles/tile_matrix.h"

namespace struprune {

// Whether the dtype has so few steps that it is worth while: Q4_0, Q4_1, Q5_0, Q5_1.
bool HasFewSteps(Dtype dtype);

// weight [out, kept] ← values that blocks of 32 columns of the dtype hold, close to it in the
// metric of H_λ = L Lᵀ, L = factor [kept, kept]: with Δ what rounding changes, ‖Δ L‖² is what it
// adds to the penalised error. From the last column on, column j is rounded at
//   w_j − (Σ_{i > j} Δ_i L_ij) / L_jj,
// which is Babai's nearest plane and, in the other order, GPTQ (arXiv 2210.17323). The scales of a
// block are those that Encode would give these values without the terms of its own columns, and
// Encode gives them again. Blocks with values beyond the dtype stay as they are.
void RoundWithFeedback(const TileMatrix<double>& factor, Dtype dtype, TileMatrix<float>& weight);

}  // namespace struprune
