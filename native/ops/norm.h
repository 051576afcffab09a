// RMS and layer norm over the last axis.
#pragma once

#include <cstddef>

namespace struprune {

enum class NormKind { kRms, kLayer };

// out[rows, cols] = norm(x[rows, cols]) * weight[cols] (+ bias[cols], may be null); strides in
// elements. In place is allowed.
void Norm(NormKind kind, size_t rows, size_t cols, const float* x, size_t x_stride,
          const float* weight, const float* bias, float eps, float* out, size_t out_stride);

// Gradient of the above with respect to x: grad_x[rows, cols] += Jᵀ grad_out, everything
// contiguous.
void NormBackward(NormKind kind, size_t rows, size_t cols, const float* x, const float* weight,
                  float eps, const float* grad_out, float* grad_x);

// Its gradient with respect to a factor of 1 on each entry of the weight, token by token:
// grad_factors[rows, cols] = grad_out times the norm's output without bias. May be x.
void NormFactorsBackward(NormKind kind, size_t rows, size_t cols, const float* x,
                         const float* weight, float eps, const float* grad_out,
                         float* grad_factors);

}  // namespace struprune
