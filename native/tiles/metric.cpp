#include "tiles/metric.h"

#include <algorithm>
#include <vector>

#include "tiles/strips.h"

namespace struprune {
namespace {

// Rows that are copied at a time.
constexpr size_t kMetricRows = 64;

template <typename Copy>
void ForMetricRows(size_t rows, Copy copy) {
  for (size_t row = 0; row < rows; row += kMetricRows) {
    copy(row, std::min(kMetricRows, rows - row));
  }
}

}  // namespace

void StoreMetric(Statistics& statistics, PagedMatrix& to, size_t row) {
  const size_t dim = statistics.dim();
  if (!statistics.has_gram() || to.cols() != dim || row + dim > to.rows()) {
    throw Error("ERR_ARGUMENT", "the matrix does not fit the metric");
  }
  const auto tokens = static_cast<double>(statistics.tokens());
  std::vector<double> sums(kMetricRows * dim);
  std::vector<float> values(kMetricRows * dim);
  ForMetricRows(dim, [&](size_t first, size_t count) {
    statistics.space().context->CheckAbort();
    ReadRows(*statistics.gram(), first, count, sums.data());
    for (size_t i = 0; i < count * dim; ++i) values[i] = static_cast<float>(sums[i] / tokens);
    to.Write(row + first, count, values.data());
  });
}

std::shared_ptr<const TileMatrix<double>> LoadMetric(const TileSpace& space,
                                                     const PagedMatrix& from, size_t row) {
  const size_t dim = from.cols();
  auto metric = std::make_shared<TileMatrix<double>>(space, dim, dim, Shape::kSymmetric);
  std::vector<float> values(kMetricRows * dim);
  ForMetricRows(dim, [&](size_t first, size_t count) {
    from.Read(row + first, count, values.data());
    WriteRows(*metric, first, count, values.data());
  });
  return metric;
}

}  // namespace struprune
