// A transformer block as data: sublayers that run one after the other, each of which adds to the
// stream of hidden states h what its output map makes of its mixer:
//   h <- stream_norm(h + out_norm(W mixer(norm(h)) + b))
// or, where they read the block's input x side by side, mixer(norm(x)).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ops/activation.h"
#include "ops/norm.h"
#include "ops/rope.h"

namespace struprune {

struct NormSpec {
  NormKind kind = NormKind::kRms;
  float eps = 1e-5f;
};

struct AttentionSpec {
  size_t kv_heads = 0, queries = 1, head_dim = 0;  // queries: query heads a KV head
  std::optional<RopeSpec> rope;
  size_t sliding = 0;                 // tokens that a query may look back on; 0 = all
  std::optional<NormSpec> head_norm;  // of every query and key head, before rope
  bool norm_joins_heads = false;      // head_norm is over all heads of a token at once
  std::optional<float> scale = {};    // of scores; none: 1 / sqrt(head_dim)
  float cap = 0;                      // of scaled scores (ops/soft_cap.h); 0: none
  bool sinks = false;                 // a logit a query head joins the sum of its softmax
  // What each query head gives is times the sigmoid of as many gates, rows of q behind its own.
  bool gated = false;

  size_t heads() const { return kv_heads * queries; }
  size_t q_width() const { return heads() * head_dim; }
  size_t q_rows() const { return (gated ? 2 : 1) * q_width(); }
  size_t kv_width() const { return kv_heads * head_dim; }
  // Entries that one head_norm of so many heads runs over.
  size_t normed(size_t heads) const { return norm_joins_heads ? heads * head_dim : head_dim; }
};

struct FeedForwardSpec {
  size_t width = 0;
  Activation activation = Activation::kSilu;
  bool gated = true;
  std::optional<ClampedGate> clamp = {};  // in place of the activation; of experts alone
};

// FFNs of which a token passes those with the largest of its router's probabilities: a softmax over
// all, or the sigmoid of each.
struct ExpertsSpec {
  size_t count = 0, top_k = 1;
  bool renormalised = false;  // those probabilities are made to sum to 1
  FeedForwardSpec expert;
  // That all tokens pass, times the sigmoid of a map of its own where it is gated.
  std::optional<FeedForwardSpec> shared = {};
  bool shared_gated = true;
  bool sigmoid = false;  // with it a bias may join what is compared, which only chooses
};

// A convolution of a window's tokens, each channel by itself (ops/short_convolution.h): one map of
// what it reads gives b, c and x.
struct ConvolutionSpec {
  size_t width = 0, kernel = 1;  // channels, and tokens that each looks back on, itself included
};

// The gated delta rule of Qwen3.5 (ops/delta_rule.h): maps of what it reads give queries, keys and
// values, convolved; gates of what comes out; and of each value head two rates.
struct DeltaSpec {
  size_t key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0;
  size_t kernel = 1;   // tokens that the convolution looks back on, itself included
  float eps = 1e-6f;   // of the norm of what a head gives
  bool tiled = false;  // every so-many-th value head shares a key head, not neighbours

  size_t width() const { return value_heads * value_dim; }
  size_t keys() const { return key_heads * key_dim; }
  size_t mixed() const { return 2 * keys() + width(); }
};

// How sublayers of a block that read its input side by side come by it: the first keeps it as it
// adds to the stream, the others read what was kept, or the stream where nothing was added yet.
enum class BlockInput : uint8_t { kNone, kKept, kRead };

struct SublayerSpec {
  std::string name;  // of its site, and in front of its tensors' names
  std::variant<AttentionSpec, FeedForwardSpec, ExpertsSpec, ConvolutionSpec, DeltaSpec> mixer;
  std::optional<NormSpec> norm = {};         // of what the mixer reads
  std::optional<NormSpec> stream_norm = {};  // of the stream after the addition
  std::optional<NormSpec> out_norm = {};     // of the output map's result, before the addition
  BlockInput input = BlockInput::kNone;

  const AttentionSpec* attention() const { return std::get_if<AttentionSpec>(&mixer); }
  const FeedForwardSpec* ffn() const { return std::get_if<FeedForwardSpec>(&mixer); }
  const ExpertsSpec* experts() const { return std::get_if<ExpertsSpec>(&mixer); }
  const ConvolutionSpec* convolution() const { return std::get_if<ConvolutionSpec>(&mixer); }
  const DeltaSpec* delta() const { return std::get_if<DeltaSpec>(&mixer); }
  // No gradients go through it, and no GPU runs it.
  bool forward_alone() const {
    return convolution() || delta() || (attention() && attention()->gated);
  }
  // Columns of its output map: the axis of its site. Experts have output maps of their own alone.
  size_t width() const;
  // Whether what the output map gives reaches the stream as it is, without a norm behind it.
  bool adds_plainly() const { return !stream_norm && !out_norm; }
  // Changes that axis, by whole KV heads of an attention; of experts what is said of the widths
  // inside, none of which is larger. Of those that have another mixer it stays.
  void Resize(size_t width);
};

struct BlockSpec {
  size_t hidden = 0;
  // Behind one of experts these and the shared one, `NAME.0`, `NAME.1`, …, `NAME.shared`: FFNs
  // without norms that run inside it.
  std::vector<SublayerSpec> sublayers;
  uint32_t index = 0;  // among the model's

  // Places of those that run inside one, in order; the shared one is the last.
  struct Range {
    size_t first, end;
  };
  Range Inside(size_t sublayer) const;
};

// The FFNs of experts that belong behind them in a block.
std::vector<SublayerSpec> InsideOf(const SublayerSpec& spec);

// The tensors that a sublayer may have.
enum class Part : uint8_t {
  kNorm,
  kNormBias,
  kStreamNorm,
  kStreamNormBias,
  kQ,
  kQBias,
  kK,
  kKBias,
  kV,
  kVBias,
  kQNorm,
  kKNorm,
  kSinks,
  kIn,
  kInBias,
  kKernel,
  kKernelBias,
  kOutGate,
  kBeta,
  kAlpha,
  kDecay,
  kStep,
  kGain,
  kRouter,
  kRouterBias,
  kChoiceBias,
  kSharedGate,
  kGate,
  kGateBias,
  kUp,
  kUpBias,
  kOut,
  kOutBias,
  kOutNorm,
  kOutNormBias,
};
inline constexpr size_t kParts = 35;
// As in lib/model/sublayers.ts.
inline constexpr std::array<std::string_view, kParts> kPartNames = {
    "norm",       "normBias",   "streamNorm", "streamNormBias", "q",          "qBias",
    "k",          "kBias",      "v",          "vBias",          "qNorm",      "kNorm",
    "sinks",      "in",         "inBias",     "kernel",         "kernelBias", "outGate",
    "beta",       "alpha",      "decay",      "step",           "gain",       "router",
    "routerBias", "choiceBias", "sharedGate", "gate",           "gateBias",   "up",
    "upBias",     "out",        "outBias",    "outNorm",        "outNormBias"};

struct PartShape {
  size_t rows = 0, cols = 0;  // vectors: 1 x n
};

// What a part has where the sublayer has it; nothing where it has no place for it.
std::optional<PartShape> ShapeOf(const SublayerSpec& spec, size_t hidden, Part part);
bool IsBias(Part part);  // the one part that a sublayer may lack
bool IsVector(Part part);
bool IsNorm(Part part);  // the weight of one
// Decides where tokens go: small, and few bits would send them elsewhere.
bool Routes(Part part);

// One tensor of a block.
struct TensorId {
  size_t sublayer;
  Part part;
};

// Throws ERR_ARGUMENT where the sublayer has no place for it.
PartShape ShapeOf(const BlockSpec& spec, TensorId id);

// `sublayer.part`, as the boundary has it.
std::string NameOf(const BlockSpec& spec, TensorId id);
// Throws ERR_ARGUMENT for a name that no sublayer has.
TensorId TensorNamed(const BlockSpec& spec, std::string_view name);
size_t SublayerNamed(const BlockSpec& spec, std::string_view name);

}  // namespace struprune
