// Rotary position embedding in Hugging Face's half-split layout.
#pragma once

#include <cstddef>
#include <optional>

#include "core/context.h"

namespace struprune {

struct Llama3Stretch {
  double factor, low_freq_factor, high_freq_factor, original_max_positions;
};

struct RopeSpec {
  double theta = 10000;
  double linear_factor = 1;
  std::optional<Llama3Stretch> llama3;
};

// Cosines and sines of every position below `positions`.
class RopeTable {
 public:
  RopeTable(Context& context, const RopeSpec& spec, size_t head_dim, size_t positions);
  // Numbers of a table.
  static size_t Count(size_t head_dim, size_t positions) { return 2 * (head_dim / 2) * positions; }
  // Rotates x[rows, heads * head_dim] (row stride in elements) in place; row i stands at position
  // (first + i) % window. direction -1 rotates back (the transpose, for gradients).
  void Apply(size_t rows, size_t heads, float* x, size_t stride, size_t first, size_t window,
             float direction = 1) const;

  // [positions, head_dim / 2]
  const Buffer<float>& cosines() const { return cos_; }
  const Buffer<float>& sines() const { return sin_; }

 private:
  size_t half_;
  Buffer<float> cos_, sin_;  // [positions, head_dim / 2]
};

}  // namespace struprune
