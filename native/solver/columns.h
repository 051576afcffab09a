// What one-shot scores are made of: one number a column.
#pragma once

#include "solver/site_problem.h"

namespace struprune {

struct WeightColumns {
  std::vector<double> abs_mean;  // [in] mean over rows of |W|
  std::vector<double> norm_sq;   // [in] ‖W_:j‖²
};
// weight[out, in], out > 0.
WeightColumns MeasureWeight(size_t out, size_t in, const float* weight);

struct ColumnStatistics {
  WeightColumns weight;
  std::vector<double> second;  // [in] mean of x_j² over tokens
  std::vector<double> mean;    // [in] mean of x_j over tokens
};
ColumnStatistics MeasureColumns(const SiteProblem& site);

}  // namespace struprune
