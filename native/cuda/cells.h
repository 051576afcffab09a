// Loops of one thread a cell: for (int64_t at = FirstCell(); at < count; at += Stride()).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace struprune::cuda {

__device__ inline int64_t FirstCell() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t Stride() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

}  // namespace struprune::cuda
