// One transformer block in memory: its description and its weights as floats.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "model/tensor_source.h"
#include "ops/activation.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "tiles/tile_matrix.h"

namespace struprune {

// Roles as in lib/model/architecture.ts (BLOCK_ROLES), in that order.
enum class Role : uint8_t {
  kAttnNorm,
  kAttnNormBias,
  kQ,
  kQBias,
  kK,
  kKBias,
  kV,
  kVBias,
  kQNorm,
  kKNorm,
  kO,
  kOBias,
  kFfnNorm,
  kFfnNormBias,
  kGate,
  kGateBias,
  kUp,
  kUpBias,
  kDown,
  kDownBias,
};
inline constexpr size_t kRoles = 20;
inline constexpr std::array<std::string_view, kRoles> kRoleNames = {
    "attnNorm", "attnNormBias", "q",     "qBias",  "k",     "kBias",   "v",
    "vBias",    "qNorm",        "kNorm", "o",      "oBias", "ffnNorm", "ffnNormBias",
    "gate",     "gateBias",     "up",    "upBias", "down",  "downBias"};

// Which linear map's input columns are pruned: o of the attention or down of the FFN.
enum class SiteKind : uint8_t { kAttention, kFfn };

struct BlockSpec {
  size_t hidden = 0, head_dim = 0, heads = 0, kv_heads = 0, ffn = 0;
  NormKind norm = NormKind::kRms;
  float eps = 1e-5f;
  bool post_norm = false;
  std::optional<RopeSpec> rope;
  size_t sliding = 0;
  bool qk_norm = false;
  Activation activation = Activation::kSilu;
  bool gated = true;
};

struct Matrix {
  size_t rows = 0, cols = 0;  // vectors: 1 x n
  Buffer<float> values;
};

class Block {
 public:
  // Reads and dequantises every tensor of the block; roles without a source stay empty. Weights
  // other than o and down are rounded to `stored` at once, o and down when Finish is called.
  Block(std::shared_ptr<Context> context, BlockSpec spec,
        const std::array<std::optional<TensorSource>, kRoles>& sources, Dtype stored);

  const BlockSpec& spec() const { return spec_; }
  bool has(Role role) const { return !weights_[Index(role)].values.empty(); }
  const Matrix& matrix(Role role) const { return weights_[Index(role)]; }
  // Null when absent.
  const float* data(Role role) const { return has(role) ? matrix(role).values.data() : nullptr; }

  // Keeps the given rows (axis 0) or columns (axis 1) of a tensor, in the given order.
  void Slice(Role role, int axis, std::span<const int32_t> indices);
  // Replaces o or down by weight[hidden, n], and their bias[hidden] unless it is empty.
  void SetOutput(SiteKind site, const TileMatrix<float>& weight, std::span<const float> bias);
  void SetBias(SiteKind site, std::span<const float> bias);
  // Replaces a weight, or a vector of as many elements, by values[] rounded to the stored dtype.
  void Replace(Role role, std::span<const float> values);
  // Sets the widths after all slices of a site; checks that every tensor agrees.
  void SetWidths(size_t heads, size_t kv_heads, size_t ffn);
  // Rounds o or down, and biases, to the stored dtype: what propagates is what the file will hold.
  void Finish(SiteKind site);
  // Rows [row, row + count) of a tensor encoded for a file; rope_heads interleaves rows for GGUF.
  std::vector<std::byte> Encode(Role role, Dtype dtype, size_t row, size_t count,
                                size_t rope_heads) const;

  Context& context() const { return *context_; }
  const std::shared_ptr<Context>& shared_context() const { return context_; }

 private:
  static size_t Index(Role role) { return static_cast<size_t>(role); }
  Matrix& mutable_matrix(Role role) { return weights_[Index(role)]; }
  void Round(Role role);

  std::shared_ptr<Context> context_;
  BlockSpec spec_;
  Dtype stored_;
  std::array<Matrix, kRoles> weights_;
};

inline Role OutputRole(SiteKind site) {
  return site == SiteKind::kAttention ? Role::kO : Role::kDown;
}
inline Role OutputBiasRole(SiteKind site) {
  return site == SiteKind::kAttention ? Role::kOBias : Role::kDownBias;
}
// Input columns of the site's output map.
inline size_t SiteWidth(const BlockSpec& spec, SiteKind site) {
  return site == SiteKind::kAttention ? spec.heads * spec.head_dim : spec.ffn;
}

// Encodes rows of any float matrix for a file, row i of the result being stored row i.
std::vector<std::byte> EncodeRows(const float* values, size_t rows, size_t cols, Dtype dtype,
                                  size_t row, size_t count, size_t rope_heads,
                                  const std::string& name);

}  // namespace struprune
