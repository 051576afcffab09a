// The short convolution of LFM2: over the last tokens of a channel, gated on both sides.
#pragma once

#include <cstddef>

namespace struprune {

struct ShortConvolution {
  size_t width = 0;                // channels
  size_t kernel = 0;               // tokens that a channel looks back on, itself included
  const float* weights = nullptr;  // [width, kernel], the token's own last
  const float* bias = nullptr;     // [width]; null: none
};

// out[count, width] = c * (bias + sum over the kernel of weights * (b * x)) for rows [first, first
// + count) of in[rows, 3 width], whose rows are b, c and x one after the other. Windows of the
// sequence start at multiples of `window`, before which there is nothing (transformers'
// Lfm2ShortConv).
void Convolve(const ShortConvolution& convolution, size_t window, size_t first, size_t count,
              const float* in, float* out);

}  // namespace struprune
