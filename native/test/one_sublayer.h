// Blocks of one sublayer with random weights, for what is held to loops in double.
#pragma once

#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "float_tensors.h"
#include "model/block.h"

namespace struprune::test {

using PartWeights = std::array<std::vector<float>, kParts>;

inline const std::vector<float>& At(const PartWeights& weights, Part part) {
  return weights[static_cast<size_t>(part)];
}

// What maps give has about `scale` times the size of what they read.
inline PartWeights RandomParts(const BlockSpec& spec, bool biased, float scale) {
  PartWeights weights;
  for (size_t p = 0; p < kParts; ++p) {
    const auto part = static_cast<Part>(p);
    const auto shape = ShapeOf(spec.sublayers[0], spec.hidden, part);
    if (!shape || (IsBias(part) && !biased)) continue;
    weights[p] = RandomFloats(shape->rows * shape->cols, static_cast<unsigned>(p));
    if (IsVector(part)) continue;
    for (float& weight : weights[p]) weight *= scale / std::sqrt(static_cast<float>(shape->cols));
  }
  return weights;
}

// In pages of strips, of which `limit` bytes are in memory.
inline Block MakeOneSublayer(const std::shared_ptr<Context>& context, const BlockSpec& spec,
                             const PartWeights& weights, size_t limit) {
  BlockSources sources(1);
  for (size_t p = 0; p < kParts; ++p) {
    if (weights[p].empty()) continue;
    const TensorId id{0, static_cast<Part>(p)};
    const auto [rows, cols] = ShapeOf(spec, id);
    sources[0][p] = FloatTensor(NameOf(spec, id), rows, cols, weights[p]);
  }
  const auto store = std::make_shared<PageStore>(context, limit, testing::TempDir());
  return Block(context, store, spec, sources, Stored{}, StripSize{64, 3});
}

}  // namespace struprune::test
