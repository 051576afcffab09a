// What each kept group is worth in the exact refit on a mask.
#pragma once

#include <span>
#include <vector>

#include "solver/site_problem.h"

namespace struprune {

// [groups] each, 0 where a group was removed; plain squares.
struct KeptCosts {
  std::vector<double> removal;  // rise of the penalised error when this group goes too, exact
  // tr((C_λ)_g Ŵ_gᵀ), its part of tr(C_λ Ŵᵀ): what the refit takes off the penalised error. May be
  // negative.
  std::vector<double> explained;
  double lambda = 0;
  int ridge_raised = 0;
};

// Throws ERR_ARGUMENT for a mask of another length, ERR_NUMERIC.
KeptCosts MeasureKept(const SiteProblem& site, std::span<const uint8_t> keep, bool bias);

}  // namespace struprune
