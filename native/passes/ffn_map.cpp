#include "passes/ffn_map.h"

#include <algorithm>
#include <vector>

#include "core/simd.h"
#include "ops/strip_product.h"

namespace struprune {
namespace {

// to[i] += a[i] * b[i].
STRUPRUNE_CLONES
void AddProduct(size_t count, const float* a, const float* b, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] += a[i] * b[i];
}

// to[i] = a[i] * b[i].
STRUPRUNE_CLONES
void WriteProduct(size_t count, const float* a, const float* b, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] = a[i] * b[i];
}

}  // namespace

void PreActivations(Context& context, const InputWeights& weights, size_t rows, const float* x,
                    float* pre, size_t stride) {
  std::vector<WeightTerm> terms;
  for (size_t part = 0; part < weights.size(); ++part) {
    terms.push_back({weights[part].get(), pre + part * stride});
  }
  StripProducts(context, terms, rows, 1, x, 0);
}

void HiddenAndSlopes(const FfnMap& map, size_t rows, float* pre, size_t stride, float* hidden) {
  float* gate = map.parts() == 2 ? pre : nullptr;
  ActivateWithSlopes(map.activation, rows * map.width, gate, gate ? pre + stride : pre, hidden);
}

void SubtractOutput(Context& context, const FfnMap& map, size_t rows, const float* hidden,
                    float* y) {
  StripProduct(context, *map.down, rows, -1, hidden, 1, y);
  if (map.bias.empty()) return;
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < map.outputs; ++j) y[i * map.outputs + j] -= map.bias[j];
  }
}

void PushForward(Context& context, const FfnMap& map, size_t rows, const float* change,
                 size_t change_stride, const float* slopes, size_t stride, float* scratch,
                 float* to) {
  std::fill_n(scratch, rows * map.width, 0.0f);
  for (size_t part = 0; part < map.parts(); ++part) {
    AddProduct(rows * map.width, change + part * change_stride, slopes + part * stride, scratch);
  }
  StripProduct(context, *map.down, rows, 1, scratch, 0, to);
}

void PullBack(Context& context, const FfnMap& map, size_t rows, const float* from,
              const float* slopes, size_t stride, float* scratch, float* to) {
  StripProductBack(context, *map.down, rows, from, 0, scratch);
  for (size_t part = 0; part < map.parts(); ++part) {
    WriteProduct(rows * map.width, scratch, slopes + part * stride, to + part * stride);
  }
}

}  // namespace struprune
