#include "solver/columns.h"

#include <cmath>

namespace struprune {

WeightColumns MeasureWeight(size_t out, size_t in, const float* weight) {
  WeightColumns columns{std::vector<double>(in, 0.0), std::vector<double>(in, 0.0)};
  for (size_t o = 0; o < out; ++o) {
    for (size_t j = 0; j < in; ++j) {
      const double value = weight[o * in + j];
      columns.abs_mean[j] += std::abs(value);
      columns.norm_sq[j] += value * value;
    }
  }
  for (double& value : columns.abs_mean) value /= static_cast<double>(out);
  return columns;
}

ColumnStatistics MeasureColumns(const SiteProblem& site) {
  const SiteInput& input = site.input();
  ColumnStatistics columns;
  columns.weight = MeasureWeight(site.out(), site.in(), input.weight.data());
  for (size_t j = 0; j < site.in(); ++j) {
    columns.second.push_back(site.GramDiagonal(j, false) / input.tokens);
    columns.mean.push_back(input.sums[j] / input.tokens);
  }
  return columns;
}

}  // namespace struprune
