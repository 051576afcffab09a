// Sums over a whole range in two launches: always in the same order, so that a result does not
// depend on which block was faster.
#include "cuda/ops.h"
#include "cuda/reduce.h"

namespace struprune::cuda {
namespace {

// partial[blocks] <- Σ (a - b)² over the block's share of [0, count).
__global__ void __launch_bounds__(kThreads)
    PartialKernel(int64_t count, const float* a, const float* b, double* partial) {
  __shared__ double scratch[kThreads / 32];
  double mine = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const double gap = static_cast<double>(a[i]) - (b ? b[i] : 0.0f);
    mine += gap * gap;
  }
  const double sum = BlockSum(mine, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    FinalKernel(int64_t blocks, const double* partial, double* to) {
  __shared__ double scratch[kThreads / 32];
  double mine = 0;
  for (int64_t i = threadIdx.x; i < blocks; i += kThreads) mine += partial[i];
  const double sum = BlockSum(mine, scratch);
  if (threadIdx.x == 0) *to += sum;
}

}  // namespace

void SquaredDistance(Device& device, int64_t count, const float* a, const float* b, double* sum) {
  const int64_t wanted = CeilDiv(count, 4 * kThreads);
  const int64_t blocks = wanted < 1 ? 1 : (wanted > kSumBlocks ? kSumBlocks : wanted);
  auto partial = device.Allocate<double>(blocks);
  Launch("a sum", PartialKernel, static_cast<unsigned>(blocks), kThreads, device.compute, count, a,
         b, partial.data());
  Launch("a sum", FinalKernel, 1u, kThreads, device.compute, blocks, partial.data(), sum);
}

}  // namespace struprune::cuda
