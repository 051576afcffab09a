// Rotary position embedding in Hugging Face's half-split layout.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "core/context.h"

namespace struprune {

struct Llama3Stretch {
  double factor, low_freq_factor, high_freq_factor, original_max_positions;
};

// Phi's: a divisor of every frequency, of two sets by the length of the window; what turns is
// scaled too.
struct LongRope {
  std::vector<double> short_factors, long_factors;
  double original_max_positions, attention_factor;
};

struct RopeSpec {
  double theta = 10000;
  double linear_factor = 1;
  std::optional<Llama3Stretch> llama3 = {};
  size_t dims = 0;  // leading entries of a head that turn; 0 = all
  std::optional<LongRope> longrope = {};

  size_t turned(size_t head_dim) const { return dims ? dims : head_dim; }
};

// Cosines and sines of every position below `positions`.
class RopeTable {
 public:
  RopeTable(Context& context, const RopeSpec& spec, size_t head_dim, size_t positions);
  // Numbers of a table.
  static size_t Count(const RopeSpec& spec, size_t head_dim, size_t positions) {
    return 2 * (spec.turned(head_dim) / 2) * positions;
  }
  // Rotates x[rows, heads * head_dim] (row stride in elements) in place; row i stands at position
  // (first + i) % window. direction -1 rotates back (the transpose, for gradients).
  void Apply(size_t rows, size_t heads, float* x, size_t stride, size_t first, size_t window,
             float direction = 1) const;

  // Pairs of a head that turn.
  size_t half() const { return half_; }
  // [positions, half]
  const Buffer<float>& cosines() const { return cos_; }
  const Buffer<float>& sines() const { return sin_; }

 private:
  size_t head_dim_, half_;
  Buffer<float> cos_, sin_;  // [positions, half]
};

}  // namespace struprune
