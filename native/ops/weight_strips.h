// Weights by strips of whole rows, of which only those at hand are in memory.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/context.h"
#include "core/paged_matrix.h"

namespace struprune {

// How matrices are cut into strips of whole rows: about so many floats, but at least so many rows,
// below which products slow down. Products over a strip end where it ends, so results depend on it
// in their last bits, and no budget and no machine may change it; tests take smaller ones.
struct StripSize {
  size_t floats = size_t{1} << 20;
  size_t rows = 256;

  // Rows of a strip at most.
  size_t Longest(size_t cols) const { return std::max(rows, floats / std::max<size_t>(cols, 1)); }
};

// Numbers of the largest strip of a matrix [rows, cols], or of what is left of it when rows or
// columns have gone.
inline size_t LargestStrip(size_t rows, size_t cols) {
  return std::min(rows, StripSize().Longest(cols)) * cols;
}
// Strips of matrices that are in use at a time, at most: of gate and up, or of a matrix and what is
// made of it.
inline constexpr size_t kStripsAtHand = 2;

// Calls visit(first, count, rows[count, cols]) for the strips of a matrix, in order, each as it is
// accessed; polls the abort flag before each.
template <typename Visit>
void VisitStrips(Context& context, PagedMatrix& matrix, PagedMatrix::Access access, Visit visit) {
  if (matrix.cols() == 0) return;
  for (size_t row = 0; row < matrix.rows(); row += matrix.page_rows()) {
    context.CheckAbort();
    const size_t count = matrix.Run(row, matrix.page_rows());
    const PagedMatrix::View strip(matrix, row, count, access);
    visit(row, count, strip.data());
  }
}

// Reads them.
template <typename Visit>
void EachStrip(Context& context, PagedMatrix& matrix, Visit visit) {
  VisitStrips(context, matrix, PagedMatrix::Access::kRead,
              [&](size_t row, size_t count, const float* values) { visit(row, count, values); });
}

// Overwrites all of them.
template <typename Fill>
void FillStrips(Context& context, PagedMatrix& matrix, Fill fill) {
  VisitStrips(context, matrix, PagedMatrix::Access::kWrite, fill);
}

// Changes them in place.
template <typename Update>
void UpdateStrips(Context& context, PagedMatrix& matrix, Update update) {
  VisitStrips(context, matrix, PagedMatrix::Access::kUpdate, update);
}

}  // namespace struprune
