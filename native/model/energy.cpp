#include "model/energy.h"

#include "team/join.h"

namespace struprune {

double Energy(Context& context, PagedMatrix& matrix) {
  const Segments segments = matrix.segments();
  const auto [begin, end] = segments.held();
  SegmentSums<double> sums({}, segments.follow());
  for (size_t row = begin; row < end;) {
    context.CheckAbort();
    const size_t count = matrix.Run(row, matrix.page_rows());
    const PagedMatrix::View view(matrix, row, count, PagedMatrix::Access::kRead);
    double& sum = sums.At(segments.At(row));
    for (size_t i = 0; i < count * matrix.cols(); ++i) {
      sum += static_cast<double>(view.data()[i]) * view.data()[i];
    }
    row += count;
  }
  return JoinedTotal(context, matrix.share(), sums);
}

}  // namespace struprune
