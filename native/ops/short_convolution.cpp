#include "ops/short_convolution.h"

#include <algorithm>

namespace struprune {

void Convolve(const ShortConvolution& convolution, size_t window, size_t first, size_t count,
              const float* in, float* out) {
  const auto [width, kernel, weights, bias] = convolution;
  for (size_t row = first; row < first + count; ++row) {
    float* const to = out + (row - first) * width;
    if (bias) {
      std::copy_n(bias, width, to);
    } else {
      std::fill_n(to, width, 0.0f);
    }
    const size_t seen = std::min(kernel, row % window + 1);
    for (size_t back = 0; back < seen; ++back) {
      const float* const b = in + (row - back) * 3 * width;
      const float* const x = b + 2 * width;
      const float* const tap = weights + (kernel - 1 - back);
      for (size_t c = 0; c < width; ++c) to[c] += tap[c * kernel] * (b[c] * x[c]);
    }
    const float* const gate = in + row * 3 * width + width;
    for (size_t c = 0; c < width; ++c) to[c] *= gate[c];
  }
}

}  // namespace struprune
