// Norms.
#include "cuda/ops.h"
#include "cuda/reduce.h"

namespace struprune::cuda {
namespace {

// A warp a row. In place is allowed: a row is read whole before its first cell is written, lane by
// lane the same cells.
__global__ void __launch_bounds__(kThreads)
    NormKernel(Norm kind, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
               const float* weight, const float* bias, float eps, float* out, int64_t out_stride) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kThreads / 32);
  // Whole warps stay or go, so that all lanes meet in LaneSum.
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
       row < rows; row += warps) {
    const float* in = x + row * x_stride;
    float* to = out + row * out_stride;
    float mean = 0;
    if (kind == Norm::kLayer) {
      float sum = 0;
      for (int64_t j = lane; j < cols; j += 32) sum += in[j];
      mean = LaneSum(sum) / static_cast<float>(cols);
    }
    float squares = 0;
    for (int64_t j = lane; j < cols; j += 32) squares += (in[j] - mean) * (in[j] - mean);
    const float inverse = 1.0f / sqrtf(LaneSum(squares) / static_cast<float>(cols) + eps);
    for (int64_t j = lane; j < cols; j += 32) {
      to[j] = (in[j] - mean) * inverse * weight[j] + (bias ? bias[j] : 0.0f);
    }
  }
}

}  // namespace

void NormRows(Device& device, Norm kind, int64_t rows, int64_t cols, const float* x,
              int64_t x_stride, const float* weight, const float* bias, float eps, float* out,
              int64_t out_stride) {
  Launch("a norm", NormKernel, GridFor(rows, kThreads / 32), kThreads, device.compute, kind, rows,
         cols, x, x_stride, weight, bias, eps, out, out_stride);
}

}  // namespace struprune::cuda
