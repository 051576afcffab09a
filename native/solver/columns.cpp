#include "solver/columns.h"

#include <cmath>

namespace struprune {

ColumnStatistics MeasureColumns(const SiteProblem& site) {
  const SiteInput& input = site.input();
  ColumnStatistics columns;
  columns.weight_abs_mean.assign(site.in(), 0);
  columns.weight_norm_sq.assign(site.in(), 0);
  for (size_t o = 0; o < site.out(); ++o) {
    for (size_t j = 0; j < site.in(); ++j) {
      const double weight = input.weight[o * site.in() + j];
      columns.weight_abs_mean[j] += std::abs(weight) / static_cast<double>(site.out());
      columns.weight_norm_sq[j] += weight * weight;
    }
  }
  for (size_t j = 0; j < site.in(); ++j) {
    columns.second.push_back(site.GramDiagonal(j, false) / input.tokens);
    columns.mean.push_back(input.sums[j] / input.tokens);
  }
  return columns;
}

}  // namespace struprune
