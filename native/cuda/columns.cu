// Columns and rows: gathers, sums down the columns.
#include <algorithm>

#include "cuda/cells.h"
#include "cuda/ops.h"

namespace struprune::cuda {
namespace {

__global__ void GatherColumnsKernel(int64_t rows, int64_t count, const int32_t* indices,
                                    const double* from, int64_t from_stride, double* to,
                                    int64_t to_stride) {
  for (int64_t at = FirstCell(); at < rows * count; at += Stride()) {
    const int64_t row = at / count, j = at % count;
    to[row * to_stride + j] = from[row * from_stride + indices[j]];
  }
}

__global__ void UnitKernel(int64_t n, double* x) {
  for (int64_t at = FirstCell(); at < n * n; at += Stride()) {
    x[at] = at / n == at % n ? 1.0 : 0.0;
  }
}

__global__ void DiagonalKernel(int64_t n, const double* a, int64_t lda, double* to) {
  for (int64_t i = FirstCell(); i < n; i += Stride()) to[i] = a[i * lda + i];
}

__global__ void GatherRowsKernel(int64_t count, int64_t cols, const int32_t* indices,
                                 const double* from, double* to) {
  for (int64_t at = FirstCell(); at < count * cols; at += Stride()) {
    to[at] = from[indices[at / cols] * cols + at % cols];
  }
}

// Blocks of 32 columns × 8 rows of threads walk down all rows.
constexpr int kWide = 32, kTall = 8;

// squares and sums[cols] += Σ over the rows of x² and x; each may be null.
__global__ void __launch_bounds__(kWide* kTall)
    ColumnKernel(int64_t rows, int64_t cols, const float* x, double* squares, double* sums) {
  __shared__ double square_parts[kTall][kWide + 1];
  __shared__ double sum_parts[kTall][kWide + 1];
  const int tx = static_cast<int>(threadIdx.x) % kWide, ty = static_cast<int>(threadIdx.x) / kWide;
  const int64_t col = static_cast<int64_t>(blockIdx.x) * kWide + tx;
  double square = 0, sum = 0;
  if (col < cols) {
    for (int64_t row = ty; row < rows; row += kTall) {
      const double value = static_cast<double>(x[row * cols + col]);
      square += value * value;
      sum += value;
    }
  }
  square_parts[ty][tx] = square;
  sum_parts[ty][tx] = sum;
  __syncthreads();
  if (ty != 0 || col >= cols) return;
  for (int i = 1; i < kTall; ++i) {
    square += square_parts[i][tx];
    sum += sum_parts[i][tx];
  }
  if (squares) squares[col] += square;
  if (sums) sums[col] += sum;
}

}  // namespace

void UnitMatrix(Device& device, int64_t n, double* x) {
  Launch("a unit matrix", UnitKernel, GridFor(n * n), kThreads, device.compute, n, x);
}

void ReadDiagonal(Device& device, int64_t n, const double* a, int64_t lda, double* to) {
  Launch("a diagonal", DiagonalKernel, GridFor(n), kThreads, device.compute, n, a, lda, to);
}

// Some rows at a time by way of their copies. In place: rows that are still to come begin behind
// those that are there already.
void Compact(Device& device, int64_t n, int64_t count, const int32_t* indices, double* a) {
  const auto rows = device.Allocate<double>(std::min(kCompactRows, count) * n);
  for (int64_t row = 0; row < count; row += kCompactRows) {
    const int64_t some = std::min(kCompactRows, count - row);
    Launch("a gather", GatherRowsKernel, GridFor(some * n), kThreads, device.compute, some, n,
           indices + row, a, rows.data());
    Launch("a gather", GatherColumnsKernel, GridFor(some * count), kThreads, device.compute, some,
           count, indices, rows.data(), n, a + row * count, count);
  }
}

void MomentsAdd(Device& device, int64_t rows, int64_t dim, const float* x, double* squares,
                double* sums) {
  if (dim == 0) return;
  Launch("column sums", ColumnKernel, static_cast<unsigned>(CeilDiv(dim, kWide)), kWide * kTall,
         device.compute, rows, dim, x, squares, sums);
}

}  // namespace struprune::cuda
