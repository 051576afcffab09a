// What one-shot scores are made of: one number a column.
#pragma once

#include "solver/site_problem.h"

namespace struprune {

struct ColumnStatistics {
  std::vector<double> weight_abs_mean;  // [in] mean over rows of |W|
  std::vector<double> weight_norm_sq;   // [in] ‖W_:j‖²
  std::vector<double> second;           // [in] mean of x_j² over tokens
  std::vector<double> mean;             // [in] mean of x_j over tokens
};
ColumnStatistics MeasureColumns(const SiteProblem& site);

}  // namespace struprune
