// Rounding to a block type whose errors make up for each other.
#pragma once

#include "core/dtype.h"
#include "tiles/tile_matrix.h"

namespace struprune {

// weight [out, kept] ← values that blocks of 32 columns of the dtype hold, close to it in the
// metric of H_λ = L Lᵀ, L = factor [kept, kept]: with Δ what rounding changes, ‖Δ L‖² is what it
// adds to the penalised error. From the last column on, column j is rounded at
//   w_j − (Σ_{i > j} Δ_i L_ij) / L_jj,
// which is Babai's nearest plane and, in the other order, GPTQ (arXiv 2210.17323). Scales of a
// block are those that Encode would give these values, first without the terms of the block's own
// columns and then as they came to be; the try that adds least is taken, and Encode gives its
// scales again. Blocks with values beyond the dtype stay as they are. The kept columns must be
// whole blocks, the dtype one of HasSteps.
void RoundWithFeedback(const TileMatrix<double>& factor, Dtype dtype, TileMatrix<float>& weight);
// Of RoundWithFeedback beside the matrices.
Needs RoundingNeeds(const Context& context, size_t out, size_t kept);

}  // namespace struprune
