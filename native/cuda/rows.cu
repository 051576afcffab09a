// Norms, and the loss of a row of logits.
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

// A block a row: a running maximum and sum in every thread, then over the block.
__global__ void __launch_bounds__(kThreads)
    NllKernel(int64_t vocab, const float* logits, const int32_t* targets, double* nll,
              int32_t* best) {
  __shared__ float tops[kThreads];
  __shared__ double sums[kThreads];
  __shared__ int32_t indices[kThreads];
  const int64_t row = blockIdx.x;
  const int tid = static_cast<int>(threadIdx.x);
  const float* x = logits + row * vocab;
  float top = -INFINITY;
  int32_t index = 0x7fffffff;
  for (int64_t j = tid; j < vocab; j += kThreads) {
    if (x[j] > top) {
      top = x[j];
      index = static_cast<int32_t>(j);
    }
  }
  tops[tid] = top;
  indices[tid] = index;
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (tid < step) {
      const float other = tops[tid + step];
      if (other > tops[tid] || (other == tops[tid] && indices[tid + step] < indices[tid])) {
        tops[tid] = other;
        indices[tid] = indices[tid + step];
      }
    }
    __syncthreads();
  }
  top = tops[0];
  double sum = 0;
  for (int64_t j = tid; j < vocab; j += kThreads) sum += static_cast<double>(expf(x[j] - top));
  sums[tid] = sum;
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (tid < step) sums[tid] += sums[tid + step];
    __syncthreads();
  }
  if (tid != 0) return;
  best[row] = indices[0];
  const int32_t target = targets[row];
  nll[row] = target < 0 ? NAN : log(sums[0]) + top - static_cast<double>(x[target]);
}

}  // namespace

void NormRows(Device& device, Norm kind, int64_t rows, int64_t cols, const float* x,
              int64_t x_stride, const float* weight, const float* bias, float eps, float* out,
              int64_t out_stride) {
  Launch("a norm", NormKernel, GridFor(rows, kThreads / 32), kThreads, device.compute, kind, rows,
         cols, x, x_stride, weight, bias, eps, out, out_stride);
}

void SoftmaxNll(Device& device, int64_t rows, int64_t vocab, const float* logits,
                const int32_t* targets, double* nll, int32_t* best) {
  if (rows == 0) return;
  Launch("a loss", NllKernel, static_cast<unsigned>(rows), kThreads, device.compute, vocab, logits,
         targets, nll, best);
}

}  // namespace struprune::cuda
