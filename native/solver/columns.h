// What one-shot scores are made of: one number a column.
#pragma once

#include "solver/site_problem.h"

namespace struprune {

struct WeightColumns {
  std::vector<double> abs_mean;  // [in] mean over rows of |W|
  std::vector<double> norm_sq;   // [in] ‖W_:j‖²
  std::vector<double> share;     // [in] sum over rows o of |W_oj| / Σ_k |W_ok|
};

// Sums over rows that come one after the other.
class WeightColumnSums {
 public:
  explicit WeightColumnSums(size_t in);
  void Add(size_t rows, const float* weight);  // [rows, in]
  WeightColumns Finish();

 private:
  const size_t in_;
  size_t rows_ = 0;
  WeightColumns columns_;
};

struct ColumnStatistics {
  WeightColumns weight;
  std::vector<double> second;  // [in] mean of x_j² over tokens
  std::vector<double> mean;    // [in] mean of x_j over tokens
};
ColumnStatistics MeasureColumns(const SiteProblem& site);

}  // namespace struprune
