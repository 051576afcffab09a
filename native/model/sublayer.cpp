#include "model/sublayer.h"

#include <algorithm>

#include "core/error.h"

namespace struprune {
namespace {

std::optional<PartShape> NormShape(const std::optional<NormSpec>& norm, size_t length, bool bias) {
  if (!norm || (bias && norm->kind == NormKind::kRms)) return std::nullopt;
  return PartShape{1, length};
}

std::optional<PartShape> ShapeIn(const AttentionSpec& spec, size_t hidden, Part part) {
  switch (part) {
    case Part::kQ:
      return PartShape{spec.q_rows(), hidden};
    case Part::kQBias:
      return PartShape{1, spec.q_rows()};
    case Part::kK:
    case Part::kV:
      return PartShape{spec.kv_width(), hidden};
    case Part::kKBias:
    case Part::kVBias:
      return PartShape{1, spec.kv_width()};
    case Part::kQNorm:
      return NormShape(spec.head_norm, spec.normed(spec.heads()), false);
    case Part::kKNorm:
      return NormShape(spec.head_norm, spec.normed(spec.kv_heads), false);
    case Part::kSinks:
      return spec.sinks ? std::optional(PartShape{1, spec.heads()}) : std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<PartShape> ShapeIn(const FeedForwardSpec& spec, size_t hidden, Part part) {
  switch (part) {
    case Part::kGate:
      return spec.gated ? std::optional(PartShape{spec.width, hidden}) : std::nullopt;
    case Part::kGateBias:
      return spec.gated ? std::optional(PartShape{1, spec.width}) : std::nullopt;
    case Part::kUp:
      return PartShape{spec.width, hidden};
    case Part::kUpBias:
      return PartShape{1, spec.width};
    default:
      return std::nullopt;
  }
}

std::optional<PartShape> ShapeIn(const ExpertsSpec& spec, size_t hidden, Part part) {
  switch (part) {
    case Part::kRouter:
      return PartShape{spec.count, hidden};
    case Part::kRouterBias:
      return PartShape{1, spec.count};
    case Part::kChoiceBias:
      return spec.sigmoid ? std::optional(PartShape{1, spec.count}) : std::nullopt;
    case Part::kSharedGate:
      return spec.shared && spec.shared_gated ? std::optional(PartShape{1, hidden}) : std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<PartShape> ShapeIn(const DeltaSpec& spec, size_t hidden, Part part) {
  switch (part) {
    case Part::kQ:
    case Part::kK:
      return PartShape{spec.keys(), hidden};
    case Part::kV:
    case Part::kOutGate:
      return PartShape{spec.width(), hidden};
    case Part::kBeta:
    case Part::kAlpha:
      return PartShape{spec.value_heads, hidden};
    case Part::kKernel:
      return PartShape{1, spec.mixed() * spec.kernel};
    case Part::kDecay:
    case Part::kStep:
      return PartShape{1, spec.value_heads};
    case Part::kGain:
      return PartShape{1, spec.value_dim};
    default:
      return std::nullopt;
  }
}

std::optional<PartShape> ShapeIn(const ConvolutionSpec& spec, size_t hidden, Part part) {
  switch (part) {
    case Part::kIn:
      return PartShape{3 * spec.width, hidden};
    case Part::kInBias:
      return PartShape{1, 3 * spec.width};
    case Part::kKernel:
      return PartShape{1, spec.width * spec.kernel};
    case Part::kKernelBias:
      return PartShape{1, spec.width};
    default:
      return std::nullopt;
  }
}

}  // namespace

BlockSpec::Range BlockSpec::Inside(size_t sublayer) const {
  const ExpertsSpec* const experts = sublayers[sublayer].experts();
  const size_t first = sublayer + 1;
  return {first, first + (experts ? experts->count + (experts->shared ? 1 : 0) : 0)};
}

std::vector<SublayerSpec> InsideOf(const SublayerSpec& spec) {
  const ExpertsSpec* const experts = spec.experts();
  std::vector<SublayerSpec> inside;
  if (!experts) return inside;
  const auto add = [&](const std::string& name, const FeedForwardSpec& ffn) {
    inside.push_back({.name = spec.name + "." + name, .mixer = ffn});
  };
  for (size_t j = 0; j < experts->count; ++j) add(std::to_string(j), experts->expert);
  if (experts->shared) add("shared", *experts->shared);
  return inside;
}

size_t SublayerSpec::width() const {
  if (attention()) return attention()->q_width();
  if (ffn()) return ffn()->width;
  if (delta()) return delta()->width();
  return convolution() ? convolution()->width : 0;
}

void SublayerSpec::Resize(size_t width) {
  if (auto* experts = std::get_if<ExpertsSpec>(&mixer)) {
    experts->expert.width = width;
    return;
  }
  if (convolution() || delta()) throw Error("ERR_ARGUMENT", name + " keeps its width");
  if (auto* ffn = std::get_if<FeedForwardSpec>(&mixer)) {
    ffn->width = width;
    return;
  }
  AttentionSpec& spec = std::get<AttentionSpec>(mixer);
  const size_t group = spec.queries * spec.head_dim;
  if (width % group != 0) throw Error("ERR_ARGUMENT", "an attention has whole KV heads");
  spec.kv_heads = width / group;
}

std::optional<PartShape> ShapeOf(const SublayerSpec& spec, size_t hidden, Part part) {
  switch (part) {
    case Part::kNorm:
      return NormShape(spec.norm, hidden, false);
    case Part::kNormBias:
      return NormShape(spec.norm, hidden, true);
    case Part::kStreamNorm:
      return NormShape(spec.stream_norm, hidden, false);
    case Part::kStreamNormBias:
      return NormShape(spec.stream_norm, hidden, true);
    case Part::kOutNorm:
      return NormShape(spec.out_norm, hidden, false);
    case Part::kOutNormBias:
      return NormShape(spec.out_norm, hidden, true);
    case Part::kOut:
      return spec.experts() ? std::nullopt : std::optional(PartShape{hidden, spec.width()});
    case Part::kOutBias:
      return spec.experts() ? std::nullopt : std::optional(PartShape{1, hidden});
    default:
      return std::visit([&](const auto& mixer) { return ShapeIn(mixer, hidden, part); },
                        spec.mixer);
  }
}

PartShape ShapeOf(const BlockSpec& spec, TensorId id) {
  const auto shape = ShapeOf(spec.sublayers[id.sublayer], spec.hidden, id.part);
  if (!shape) throw Error("ERR_ARGUMENT", "the block has no " + NameOf(spec, id));
  return *shape;
}

bool IsBias(Part part) { return kPartNames[static_cast<size_t>(part)].ends_with("Bias"); }

bool IsVector(Part part) {
  switch (part) {
    case Part::kQ:
    case Part::kK:
    case Part::kV:
    case Part::kIn:
    case Part::kOutGate:
    case Part::kBeta:
    case Part::kAlpha:
    case Part::kRouter:
    case Part::kSharedGate:
    case Part::kGate:
    case Part::kUp:
    case Part::kOut:
      return false;
    default:
      return true;
  }
}

bool Routes(Part part) { return part == Part::kRouter || part == Part::kSharedGate; }

bool IsNorm(Part part) {
  const std::string_view name = kPartNames[static_cast<size_t>(part)];
  return name == "norm" || name.ends_with("Norm");
}

std::string NameOf(const BlockSpec& spec, TensorId id) {
  return spec.sublayers[id.sublayer].name + "." +
         std::string(kPartNames[static_cast<size_t>(id.part)]);
}

size_t SublayerNamed(const BlockSpec& spec, std::string_view name) {
  const auto found = std::ranges::find(spec.sublayers, name, &SublayerSpec::name);
  if (found == spec.sublayers.end()) {
    throw Error("ERR_ARGUMENT", "the block has no sublayer " + std::string(name));
  }
  return static_cast<size_t>(found - spec.sublayers.begin());
}

TensorId TensorNamed(const BlockSpec& spec, std::string_view name) {
  const size_t dot = name.rfind('.');
  const auto part = std::ranges::find(kPartNames, name.substr(std::min(dot, name.size() - 1) + 1));
  if (dot == std::string_view::npos || part == kPartNames.end()) {
    throw Error("ERR_ARGUMENT", "no tensor of a block is called " + std::string(name));
  }
  return {SublayerNamed(spec, name.substr(0, dot)), static_cast<Part>(part - kPartNames.begin())};
}

}  // namespace struprune
