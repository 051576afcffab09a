// Removal of whole groups, cheapest first, each with an exact refit (docs/method.md, section 3).
#pragma once

#include <vector>

#include "solver/site_problem.h"

namespace struprune {

struct SweepOptions {
  bool bias = false;                  // a bias absorbs the mean
  size_t max_removed = SIZE_MAX;      // groups
  Metric selection = Metric::kPlain;  // what "cheapest" means
  Metric curve = Metric::kPlain;      // what `error` is measured in
  std::vector<double>
      group_costs{};  // [groups]: cheapest per unit of cost; empty: cheapest as it is
  // Single columns: removals between two updates of the matrices; 0: by the number of columns.
  size_t batch = 0;
  double drift_tolerance = 1e-6;  // of the target's norm
};

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
