#include "ops/rope.h"

#include <cmath>
#include <numbers>

#include "core/simd.h"

namespace struprune {
namespace {

STRUPRUNE_CLONES
void Rotate(size_t half, const float* cosine, const float* sine, float direction, float* x) {
  for (size_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half], s = direction * sine[i];
    x[i] = a * cosine[i] - b * s;
    x[i + half] = b * cosine[i] + a * s;
  }
}

// Llama 3: long wavelengths are divided by the factor, short ones kept, those between blended.
float Stretch(const Llama3Stretch& spec, float frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double low = spec.original_max_positions / spec.low_freq_factor;
  const double high = spec.original_max_positions / spec.high_freq_factor;
  if (wavelength > low) return static_cast<float>(frequency / spec.factor);
  if (wavelength < high) return frequency;
  const double blend = (spec.original_max_positions / wavelength - spec.low_freq_factor) /
                       (spec.high_freq_factor - spec.low_freq_factor);
  return static_cast<float>((1 - blend) * frequency / spec.factor + blend * frequency);
}

}  // namespace

// Angles are products of float position and float frequency, as transformers computes them.
RopeTable::RopeTable(Context& context, const RopeSpec& spec, size_t head_dim, size_t positions)
    : head_dim_(head_dim),
      half_(spec.turned(head_dim) / 2),
      cos_(context.Allocate<float>(half_ * positions)),
      sin_(context.Allocate<float>(half_ * positions)) {
  const LongRope* const by_length = spec.longrope ? &*spec.longrope : nullptr;
  const bool is_long =
      by_length && static_cast<double>(positions) > by_length->original_max_positions;
  const double scale = by_length ? by_length->attention_factor : 1;
  for (size_t i = 0; i < half_; ++i) {
    const double exponent = static_cast<double>(i) / static_cast<double>(half_);
    float frequency = static_cast<float>(1.0 / std::pow(spec.theta, exponent));
    if (by_length) {
      const double divisor = (is_long ? by_length->long_factors : by_length->short_factors)[i];
      frequency = static_cast<float>(frequency / divisor);
    }
    if (spec.llama3) frequency = Stretch(*spec.llama3, frequency);
    frequency = static_cast<float>(frequency / spec.linear_factor);
    for (size_t p = 0; p < positions; ++p) {
      const float angle = static_cast<float>(p) * frequency;
      cos_[p * half_ + i] = static_cast<float>(scale * std::cos(static_cast<double>(angle)));
      sin_[p * half_ + i] = static_cast<float>(scale * std::sin(static_cast<double>(angle)));
    }
  }
}

void RopeTable::Apply(size_t rows, size_t heads, float* x, size_t stride, size_t first,
                      size_t window, float direction) const {
  for (size_t i = 0; i < rows; ++i) {
    const size_t position = (first + i) % window;
    for (size_t h = 0; h < heads; ++h) {
      Rotate(half_, &cos_[position * half_], &sin_[position * half_], direction,
             x + i * stride + h * head_dim_);
    }
  }
}

}  // namespace struprune
