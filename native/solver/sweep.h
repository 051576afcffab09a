// Removal of whole groups, cheapest first, each with an exact refit (docs/method.md, section 3).
#pragma once

#include <vector>

#include "solver/sweep_options.h"

namespace struprune {

struct SweepResult {
  std::vector<int32_t> order;  // groups in the order of their removal
  std::vector<double> cost;    // [order] rise of the penalised error (selection metric), exact
  std::vector<double>
      error;             // [order + 1] unpenalised error (curve metric) after k removals, exact
  double drift = 0;      // largest gap between the running and the exact penalised error, ÷ ‖Y‖²
  int refactorings = 0;  // how often that gap made the sweep start again from an exact state
  double lambda = 0;
  int ridge_raised = 0;
};

// Of a sweep that removes as many of the columns.
Needs SweepNeeds(const Context& context, const ProblemShape& shape, size_t removed);

// Throws ERR_NUMERIC when the Gram cannot be factored or refactoring does not bring the drift down.
SweepResult Sweep(const SiteProblem& site, const SweepOptions& options);

}  // namespace struprune
