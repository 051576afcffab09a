#include "solver/columns.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tiles/strips.h"

namespace struprune {

WeightColumnSums::WeightColumnSums(size_t in)
    : in_(in),
      columns_{std::vector<double>(in, 0.0), std::vector<double>(in, 0.0),
               std::vector<double>(in, 0.0)} {}

void WeightColumnSums::Add(size_t rows, const float* weight) {
  for (size_t o = 0; o < rows; ++o) {
    const float* const row = weight + o * in_;
    double sum = 0;
    for (size_t j = 0; j < in_; ++j) sum += std::abs(row[j]);
    for (size_t j = 0; j < in_; ++j) {
      const double value = row[j], size = std::abs(value);
      columns_.abs_mean[j] += size;
      columns_.norm_sq[j] += value * value;
      if (size > 0) columns_.share[j] += size / sum;
    }
  }
  rows_ += rows;
}

WeightColumns WeightColumnSums::Finish() {
  for (double& value : columns_.abs_mean) value /= static_cast<double>(rows_);
  return std::move(columns_);
}

ColumnStatistics MeasureColumns(const SiteProblem& site) {
  const SiteInput& input = site.input();
  WeightColumnSums sums(site.in());
  constexpr size_t kRows = 32;
  Buffer<float> rows = site.context().Allocate<float>(kRows * site.in());
  for (size_t row = 0; row < site.out(); row += kRows) {
    const size_t count = std::min(kRows, site.out() - row);
    ReadRows(*input.weight, row, count, rows.data());
    sums.Add(count, rows.data());
  }
  ColumnStatistics columns;
  columns.weight = sums.Finish();
  for (size_t j = 0; j < site.in(); ++j) {
    columns.second.push_back(site.GramDiagonal(j, false) / input.tokens);
    columns.mean.push_back(input.sums[j] / input.tokens);
  }
  return columns;
}

}  // namespace struprune
