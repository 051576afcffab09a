// Sums over the lanes of a warp and the threads of a block.
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

}  // namespace struprune::cuda
