// One transformer block in double by plain loops over the textbook formulas; shares no code with
// native/model or native/ops. The oracle of the backward pass by central differences.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "model/block.h"

namespace struprune::test {

using Doubles = std::vector<double>;

// A block of attention and FFN, flat: what tests vary.
struct DecoderSpec {
  size_t hidden = 0, head_dim = 0, heads = 0, kv_heads = 0, ffn = 0;
  NormKind norm = NormKind::kRms;
  float eps = 1e-5f;
  bool in_norm = true;  // of what the mixers read
  bool post_norm = false;
  bool out_norm = false;  // of what o and down give, before it is added
  std::optional<RopeSpec> rope;
  size_t sliding = 0;
  bool qk_norm = false, norm_joins_heads = false;
  std::optional<float> scale = {};  // of scores; none: 1 / sqrt(head_dim)
  float cap = 0;                    // of scaled scores; 0: none
  bool sinks = false;
  bool gated_heads = false;
  bool parallel = false;  // both read the block's input
  Activation activation = Activation::kSilu;
  bool gated = true;

  BlockSpec Block() const;
  size_t width(size_t sublayer) const { return Block().sublayers[sublayer].width(); }
  // Of a sublayer, wherever it stands.
  TensorId Norm(size_t sublayer) const {
    return {sublayer, post_norm ? Part::kStreamNorm : Part::kNorm};
  }
  TensorId NormBias(size_t sublayer) const {
    return {sublayer, post_norm ? Part::kStreamNormBias : Part::kNormBias};
  }
};
inline constexpr size_t kAttention = 0, kFfn = 1;
inline constexpr TensorId kQ{kAttention, Part::kQ}, kQBias{kAttention, Part::kQBias},
    kK{kAttention, Part::kK}, kKBias{kAttention, Part::kKBias}, kV{kAttention, Part::kV},
    kVBias{kAttention, Part::kVBias}, kQNorm{kAttention, Part::kQNorm},
    kKNorm{kAttention, Part::kKNorm}, kSinks{kAttention, Part::kSinks}, kO{kAttention, Part::kOut},
    kOBias{kAttention, Part::kOutBias}, kGate{kFfn, Part::kGate}, kGateBias{kFfn, Part::kGateBias},
    kUp{kFfn, Part::kUp}, kUpBias{kFfn, Part::kUpBias}, kDown{kFfn, Part::kOut},
    kDownBias{kFfn, Part::kOutBias};

// Random weights of one block, as floats: both the reference and a Block read these.
struct BlockWeights {
  // empty = absent; matrices row-major [out, in]
  std::array<std::array<std::vector<float>, kParts>, 2> values;
  const std::vector<float>& operator[](TensorId id) const {
    return values[id.sublayer][static_cast<size_t>(id.part)];
  }
  std::vector<float>& operator[](TensorId id) {
    return values[id.sublayer][static_cast<size_t>(id.part)];
  }
};

struct BiasSet {
  bool qkv = false, o = false, ffn_in = false, down = false, norm = false;
};
BlockWeights RandomWeights(const DecoderSpec& spec, const BiasSet& biases, unsigned seed);
// In a store of its own, with all pages in memory, where none is given.
Block MakeBlock(const std::shared_ptr<Context>& context, const DecoderSpec& spec,
                const BlockWeights& weights, std::shared_ptr<PageStore> store = nullptr,
                StripSize strip = {});

// Output of the block for h[tokens, hidden]. at_attention and at_ffn [tokens, hidden] are added to
// the outputs y of o and down: the derivative with respect to them is delta.
Doubles ReferenceForward(const DecoderSpec& spec, const BlockWeights& weights, size_t window,
                         const Doubles& h, const Doubles& at_attention, const Doubles& at_ffn);

}  // namespace struprune::test
