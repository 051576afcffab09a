// Arithmetic of one element, the same source for the GPU and the host that checks it.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "cuda/abi.h"

namespace struprune::cuda {

__host__ __device__ inline float ActivationOf(Gate kind, float x) {
  switch (kind) {
    case Gate::kSilu:
      return x / (1.0f + expf(-x));
    case Gate::kRelu:
      return x > 0 ? x : 0.0f;
    case Gate::kGelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
  }
  return x;
}

// Whether query `query` of a window sees key `key`; sliding 0 = every earlier one.
__host__ __device__ inline bool Sees(int64_t query, int64_t key, int64_t sliding) {
  return key <= query && (sliding == 0 || key + sliding > query);
}

}  // namespace struprune::cuda
