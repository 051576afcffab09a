// One transformer block: its description and its weights as floats, the matrices by strips of a
// page store.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/paged_matrix.h"
#include "model/tensor_source.h"
#include "ops/activation.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "ops/strip_product.h"
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

// How matrices are cut into strips of whole rows: about so many floats, but at least so many rows,
// below which products slow down. Products over a strip end where it ends, so results depend on it
// in their last bits, and no budget and no machine may change it; tests take smaller ones.
struct StripSize {
  size_t floats = size_t{1} << 20;
  size_t rows = 256;
};

// A norm or a bias, or a matrix.
bool IsVector(Role role);

class Block {
 public:
  // Reads and dequantises every tensor of the block; roles without a source stay absent. Weights
  // other than o and down are rounded to `stored` at once, o and down when Finish is called, unless
  // the source has them in that very type. Matrices lie in the store.
  Block(std::shared_ptr<Context> context, std::shared_ptr<PageStore> store, BlockSpec spec,
        const std::array<std::optional<TensorSource>, kRoles>& sources, Stored stored,
        StripSize strip = {});

  const BlockSpec& spec() const { return spec_; }
  bool has(Role role) const { return shapes_[Index(role)].has_value(); }
  struct Shape {
    size_t rows, cols;  // vectors: 1 x n
  };
  const Shape& shape(Role role) const { return *shapes_[Index(role)]; }
  // A vector [cols], null when absent.
  const float* data(Role role) const { return has(role) ? vectors_[Index(role)].data() : nullptr; }
  std::span<const float> vector(Role role) const { return vectors_[Index(role)].span(); }
  // A matrix [rows, cols], a page a strip; null when absent.
  PagedMatrix* matrix(Role role) const { return matrices_[Index(role)].get(); }
  // EachStrip of one of its matrices.
  template <typename Visit>
  void EachStrip(Role role, Visit visit) const {
    struprune::EachStrip(*context_, *matrix(role), visit);
  }

  // Keeps the given rows (axis 0) or columns (axis 1) of a tensor, in the given order.
  void Slice(Role role, int axis, std::span<const int32_t> indices);
  // Replaces o or down by weight[hidden, n], and their bias[hidden] unless it is empty.
  void SetOutput(SiteKind site, const TileMatrix<float>& weight, std::span<const float> bias);
  void SetBias(SiteKind site, std::span<const float> bias);
  // Replaces a weight by what fill(first, count, rows[count, cols]) writes for strip after strip,
  // rounded to what is stored.
  void Replace(Role role, const std::function<void(size_t, size_t, float*)>& fill);
  // The same for a vector. Throws ERR_ARGUMENT where `values` has another size.
  void Replace(Role role, std::span<const float> values);
  // Multiplies the columns of a matrix, or the entries of a vector, and rounds to what is stored.
  // Throws ERR_ARGUMENT where there are not as many factors.
  void Scale(Role role, std::span<const float> factors);
  // Sets the widths after all slices of a site; checks that every tensor agrees.
  void SetWidths(size_t heads, size_t kv_heads, size_t ffn);
  // Rounds o or down, and biases, to what is stored: what propagates is what the file will hold.
  void Finish(SiteKind site);
  // Rows [row, row + count) of a tensor encoded for a file; rope_heads interleaves rows for GGUF.
  // Rows of the source in its own type are its very bytes. Throws ERR_UNSUPPORTED, ERR_NAN where
  // the dtype cannot hold them.
  std::vector<std::byte> Encode(Role role, Dtype dtype, size_t row, size_t count,
                                size_t rope_heads) const;

  Context& context() const { return *context_; }
  const std::shared_ptr<Context>& shared_context() const { return context_; }
  // Where its matrices lie.
  TileSpace space() const { return {context_, store_}; }

 private:
  // Where the rows of a matrix come from that is to be stored as the source has it, while nothing
  // has changed them.
  struct Origin {
    TensorSource tensor;
    std::vector<int32_t> rows;
  };

  static size_t Index(Role role) { return static_cast<size_t>(role); }
  std::unique_ptr<PagedMatrix> MakeMatrix(size_t rows, size_t cols) const;
  void Load(Role role, const TensorSource& source);
  void Put(Role role, Buffer<float> vector);
  void Put(Role role, std::unique_ptr<PagedMatrix> matrix);
  Buffer<float> SliceVector(Role role, std::span<const int32_t> indices) const;
  std::unique_ptr<PagedMatrix> SliceMatrix(Role role, int axis,
                                           std::span<const int32_t> indices) const;
  void CheckShape(Role role) const;
  void Round(Role role);
  static bool IsOutput(Role role) { return role == Role::kO || role == Role::kDown; }
  // Whether a matrix that the source has in that type is to be stored as it is.
  bool StaysAsSource(Role role, Dtype dtype) const;
  static std::vector<std::byte> CopyRows(const Origin& origin, size_t row, size_t count,
                                         size_t rope_heads);

  std::shared_ptr<Context> context_;
  std::shared_ptr<PageStore> store_;
  BlockSpec spec_;
  Stored stored_;
  StripSize strip_;
  std::array<std::optional<Shape>, kRoles> shapes_;
  std::array<Buffer<float>, kRoles> vectors_;
  std::array<std::unique_ptr<PagedMatrix>, kRoles> matrices_;
  std::array<std::optional<Origin>, kRoles> origins_;
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
