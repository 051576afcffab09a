#include "ops/norm.h"

#include <cmath>

#include "core/simd.h"

namespace struprune {
namespace {

struct Moments {
  float mean;     // 0 for RMS
  float inverse;  // 1 / sqrt(variance or mean square + eps)
};

inline Moments MomentsOf(NormKind kind, size_t cols, const float* x, float eps) {
  float mean = 0;
  if (kind == NormKind::kLayer) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < cols; ++j) sum += x[j];
    mean = sum / static_cast<float>(cols);
  }
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (size_t j = 0; j < cols; ++j) squares += (x[j] - mean) * (x[j] - mean);
  return {mean, 1.0f / std::sqrt(squares / static_cast<float>(cols) + eps)};
}

}  // namespace

STRUPRUNE_CLONES
void Norm(NormKind kind, size_t rows, size_t cols, const float* x, size_t x_stride,
          const float* weight, const float* bias, float eps, float* out, size_t out_stride) {
  for (size_t i = 0; i < rows; ++i) {
    const float* in = x + i * x_stride;
    float* to = out + i * out_stride;
    const auto [mean, inverse] = MomentsOf(kind, cols, in, eps);
    if (bias) {
      for (size_t j = 0; j < cols; ++j) to[j] = (in[j] - mean) * inverse * weight[j] + bias[j];
    } else {
      for (size_t j = 0; j < cols; ++j) to[j] = (in[j] - mean) * inverse * weight[j];
    }
  }
}

// With x̂ = (x − mean)/σ and g = grad_out · weight: grad_x = (g − [mean g] − x̂ mean(g x̂)) / σ, where
// the bracket stands for layer norm only.
STRUPRUNE_CLONES
void NormBackward(NormKind kind, size_t rows, size_t cols, const float* x, const float* weight,
                  float eps, const float* grad_out, float* grad_x) {
  for (size_t i = 0; i < rows; ++i) {
    const float* in = x + i * cols;
    const float* g = grad_out + i * cols;
    float* to = grad_x + i * cols;
    const auto moments = MomentsOf(kind, cols, in, eps);
    const float mean = moments.mean, inverse = moments.inverse;
    float dot = 0, sum = 0;
#pragma omp simd reduction(+ : dot, sum)
    for (size_t j = 0; j < cols; ++j) {
      dot += g[j] * weight[j] * (in[j] - mean);
      sum += g[j] * weight[j];
    }
    const float scale = dot * inverse * inverse / static_cast<float>(cols);
    const float shift = kind == NormKind::kLayer ? sum / static_cast<float>(cols) : 0.0f;
    for (size_t j = 0; j < cols; ++j) {
      to[j] += (g[j] * weight[j] - shift - (in[j] - mean) * scale) * inverse;
    }
  }
}

void NormFactorsBackward(NormKind kind, size_t rows, size_t cols, const float* x,
                         const float* weight, float eps, const float* grad_out,
                         float* grad_factors) {
  Norm(kind, rows, cols, x, cols, weight, nullptr, eps, grad_factors, cols);
  for (size_t i = 0; i < rows * cols; ++i) grad_factors[i] *= grad_out[i];
}

}  // namespace struprune
