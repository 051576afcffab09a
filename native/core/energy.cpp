#include "core/energy.h"

#include "core/segments.h"

namespace struprune {

double Energy(const Context& context, PagedMatrix& matrix) {
  const Segments segments(matrix.rows(), matrix.page_rows());
  SegmentSums<double> sums;
  for (size_t row = 0; row < matrix.rows();) {
    context.CheckAbort();
    const size_t count = matrix.Run(row, matrix.page_rows());
    const PagedMatrix::View view(matrix, row, count, PagedMatrix::Access::kRead);
    double& sum = sums.At(segments.At(row));
    for (size_t i = 0; i < count * matrix.cols(); ++i) {
      sum += static_cast<double>(view.data()[i]) * view.data()[i];
    }
    row += count;
  }
  return sums.Total();
}

}  // namespace struprune
