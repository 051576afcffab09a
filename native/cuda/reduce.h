// Sums over a block, and over a whole range in two launches: always in the same order, so that a
// result does not depend on which block was faster.
#pragma once

#include "cuda/device.h"

namespace struprune::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

// Sum over `width` neighbouring lanes (a power of two up to 32), in every one of them. All 32 lanes
// of the warp must come here.
template <typename T>
__device__ T LaneSum(T value, int width = 32) {
  for (int step = width / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

template <typename T>
__device__ T LaneMax(T value, int width = 32) {
  for (int step = width / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(kAllLanes, value, step);
    value = value > other ? value : other;
  }
  return value;
}

// Sum over a block of kThreads, in thread 0. All threads must come here, and a barrier must follow
// before `scratch` is used again.
__device__ inline double BlockSum(double value, double* scratch) {
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  value = LaneSum(value);
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  double sum = 0;
  if (threadIdx.x == 0) {
    for (unsigned i = 0; i < kThreads / 32; ++i) sum += scratch[i];
  }
  return sum;
}

template <int N>
struct Sums {
  double value[N];
};

// partial[blocks, N] <- Σ of cell(i) over the block's share of [0, count).
template <int N, typename Cell>
__global__ void __launch_bounds__(kThreads) PartialSums(int64_t count, Cell cell, double* partial) {
  __shared__ double scratch[kThreads / 32];
  Sums<N> mine;
  for (int s = 0; s < N; ++s) mine.value[s] = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const Sums<N> here = cell(i);
    for (int s = 0; s < N; ++s) mine.value[s] += here.value[s];
  }
  for (int s = 0; s < N; ++s) {
    const double sum = BlockSum(mine.value[s], scratch);
    if (threadIdx.x == 0) partial[static_cast<int64_t>(blockIdx.x) * N + s] = sum;
    __syncthreads();
  }
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    FinalSums(int64_t blocks, const double* partial, bool add, double* sums) {
  __shared__ double scratch[kThreads / 32];
  for (int s = 0; s < N; ++s) {
    double mine = 0;
    for (int64_t i = threadIdx.x; i < blocks; i += kThreads) mine += partial[i * N + s];
    const double sum = BlockSum(mine, scratch);
    if (threadIdx.x == 0) sums[s] = add ? sums[s] + sum : sum;
    __syncthreads();
  }
}

// Most blocks of such a sum, and so N × the doubles of the slab that it takes.
inline constexpr int64_t kSumBlocks = 1024;

// sums[N] <- (or += when `add`) Σ of cell(i), i in [0, count); cell is a device functor that
// returns Sums<N>, called once for every i.
template <int N, typename Cell>
void SumCells(Device& device, int64_t count, Cell cell, bool add, double* sums) {
  const int64_t wanted = CeilDiv(count, 4 * kThreads);
  const int64_t blocks = wanted < 1 ? 1 : (wanted > kSumBlocks ? kSumBlocks : wanted);
  auto partial = device.Allocate<double>(blocks * N);
  Launch("a sum", PartialSums<N, Cell>, static_cast<unsigned>(blocks), kThreads, device.compute,
         count, cell, partial.data());
  Launch("a sum", FinalSums<N>, 1u, kThreads, device.compute, blocks, partial.data(), add, sums);
}

}  // namespace struprune::cuda
