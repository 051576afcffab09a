// What a sweep removes, and by which measure.
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

}  // namespace struprune
