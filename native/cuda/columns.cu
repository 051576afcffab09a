// Columns and rows: masks, gathers, sums down the columns.
#include <algorithm>

#include "cuda/cells.h"
#include "cuda/ops.h"

namespace struprune::cuda {
namespace {

__global__ void MaskKernel(int64_t rows, int64_t cols, int64_t group, const uint8_t* keep,
                           float* x) {
  for (int64_t i = FirstCell(); i < rows * cols; i += Stride()) {
    if (!keep[i % cols / group]) x[i] = 0;
  }
}

template <typename T>
__global__ void GatherColumnsKernel(int64_t rows, int64_t count, const int32_t* indices,
                                    const T* from, int64_t from_stride, T* to, int64_t to_stride) {
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

__global__ void ScatterColumnsKernel(int64_t rows, int64_t count, const int32_t* indices,
                                     const float* from, int64_t from_stride, float* to,
                                     int64_t to_stride) {
  for (int64_t at = FirstCell(); at < rows * count; at += Stride()) {
    const int64_t row = at / count, j = at % count;
    to[row * to_stride + indices[j]] = from[row * from_stride + j];
  }
}

template <typename T>
__global__ void GatherRowsKernel(int64_t count, int64_t cols, const int32_t* indices, const T* from,
                                 T* to) {
  for (int64_t at = FirstCell(); at < count * cols; at += Stride()) {
    to[at] = from[indices[at / cols] * cols + at % cols];
  }
}

// Blocks of 32 columns × 8 rows of threads walk down all rows.
constexpr int kWide = 32, kTall = 8;

// squares and sums[cols] += Σ over the rows of (x + u)² and x + u; each may be null, u too.
template <typename T, bool kAdd>
__global__ void __launch_bounds__(kWide* kTall)
    ColumnKernel(int64_t rows, int64_t cols, const T* x, const T* u, double* squares,
                 double* sums) {
  __shared__ double square_parts[kTall][kWide + 1];
  __shared__ double sum_parts[kTall][kWide + 1];
  const int tx = static_cast<int>(threadIdx.x) % kWide, ty = static_cast<int>(threadIdx.x) / kWide;
  const int64_t col = static_cast<int64_t>(blockIdx.x) * kWide + tx;
  double square = 0, sum = 0;
  if (col < cols) {
    for (int64_t row = ty; row < rows; row += kTall) {
      double value = static_cast<double>(x[row * cols + col]);
      if (u) value += static_cast<double>(u[row * cols + col]);
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
  if (squares) squares[col] = kAdd ? squares[col] + square : square;
  if (sums) sums[col] = kAdd ? sums[col] + sum : sum;
}

__global__ void GroupKernel(int64_t groups, int64_t group, const double* columns,
                            double* energies) {
  for (int64_t g = FirstCell(); g < groups; g += Stride()) {
    double sum = 0;
    for (int64_t j = 0; j < group; ++j) sum += columns[g * group + j];
    energies[g] = sum;
  }
}

}  // namespace

void MaskColumns(Device& device, int64_t rows, int64_t groups, int64_t group, const uint8_t* keep,
                 float* x) {
  const int64_t cols = groups * group;
  Launch("a mask", MaskKernel, GridFor(rows * cols), kThreads, device.compute, rows, cols, group,
         keep, x);
}

void GatherColumns(Device& device, int64_t rows, int64_t count, const int32_t* indices,
                   const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  Launch("a gather", GatherColumnsKernel<float>, GridFor(rows * count), kThreads, device.compute,
         rows, count, indices, from, from_stride, to, to_stride);
}

void ScatterColumns(Device& device, int64_t rows, int64_t count, const int32_t* indices,
                    const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  Launch("a scatter", ScatterColumnsKernel, GridFor(rows * count), kThreads, device.compute, rows,
         count, indices, from, from_stride, to, to_stride);
}

void GatherRows(Device& device, int64_t count, int64_t cols, const int32_t* indices,
                const float* from, float* to) {
  Launch("a gather", GatherRowsKernel<float>, GridFor(count * cols), kThreads, device.compute,
         count, cols, indices, from, to);
}

void GatherRows(Device& device, int64_t count, int64_t cols, const int32_t* indices,
                const double* from, double* to) {
  Launch("a gather", GatherRowsKernel<double>, GridFor(count * cols), kThreads, device.compute,
         count, cols, indices, from, to);
}

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
    GatherRows(device, some, n, indices + row, a, rows.data());
    Launch("a gather", GatherColumnsKernel<double>, GridFor(some * count), kThreads, device.compute,
           some, count, indices, rows.data(), n, a + row * count, count);
  }
}

void MomentsAdd(Device& device, int64_t rows, int64_t dim, const float* x, double* squares,
                double* sums) {
  if (dim == 0) return;
  Launch("column sums", ColumnKernel<float, true>, static_cast<unsigned>(CeilDiv(dim, kWide)),
         kWide * kTall, device.compute, rows, dim, x, nullptr, squares, sums);
}

void GroupEnergies(Device& device, int64_t rows, int64_t groups, int64_t group, const double* w,
                   const double* u, double* energies) {
  const int64_t cols = groups * group;
  if (cols == 0) return;
  auto columns = device.Allocate<double>(cols);
  Launch("column sums", ColumnKernel<double, false>, static_cast<unsigned>(CeilDiv(cols, kWide)),
         kWide * kTall, device.compute, rows, cols, w, u, columns.data(), nullptr);
  Launch("group sums", GroupKernel, GridFor(groups), kThreads, device.compute, groups, group,
         columns.data(), energies);
}

}  // namespace struprune::cuda
