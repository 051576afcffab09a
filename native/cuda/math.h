// Arithmetic of one element, the same source for the GPU and the host that checks it.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "cuda/abi.h"

namespace struprune::cuda {

// (1 + tanh u) / 2 of GELU's tanh approximation at x within 12 of 0; 0 or 1 beyond.
__host__ __device__ inline float BelowByTanh(float x) {
  return 1.0f / (1.0f + expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
}
__host__ __device__ inline float WithinTwelve(float x) {
  return x < -12.0f ? -12.0f : x > 12.0f ? 12.0f : x;
}

__host__ __device__ inline float ActivationOf(Gate kind, float x) {
  switch (kind) {
    case Gate::kSilu:
      return x / (1.0f + expf(-x));
    case Gate::kRelu:
      return x > 0 ? x : 0.0f;
    case Gate::kGelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Gate::kGeluTanh:
      return x * BelowByTanh(WithinTwelve(x));
  }
  return x;
}

// An activation and its derivative.
struct ValueAndSlope {
  float value, slope;
};

__host__ __device__ inline ValueAndSlope ActivationAndSlope(Gate kind, float x) {
  switch (kind) {
    case Gate::kSilu: {
      const float s = 1.0f / (1.0f + expf(-x));
      return {x * s, s * (1.0f + x * (1.0f - s))};
    }
    case Gate::kRelu:
      return {x > 0 ? x : 0.0f, x > 0 ? 1.0f : 0.0f};
    case Gate::kGelu: {
      const float below = 0.5f * (1.0f + erff(x * 0.70710678118654752f));
      return {x * below, below + x * 0.39894228040143268f * expf(-0.5f * x * x)};
    }
    case Gate::kGeluTanh: {
      const float near = WithinTwelve(x), below = BelowByTanh(near);
      const float slope = 1.5957691216057308f * (1.0f + 0.134145f * near * near);
      return {x * below, below + near * below * (1.0f - below) * slope};
    }
  }
  return {x, 1.0f};
}

// The soft cap of a score or logit; as it is where cap is 0.
__host__ __device__ inline float Capped(float x, float cap) {
  return cap > 0 ? cap * tanhf(x / cap) : x;
}

// Whether query `query` of a window sees key `key`; sliding 0 = every earlier one.
__host__ __device__ inline bool Sees(int64_t query, int64_t key, int64_t sliding) {
  return key <= query && (sliding == 0 || key + sliding > query);
}

}  // namespace struprune::cuda
