#include "addon/specs.h"

#include <algorithm>

#include "addon/arguments.h"
#include "addon/handles.h"

namespace struprune::addon {
namespace {

size_t Size(const Napi::Object& object, const char* key) { return GetSize(object.Get(key), key); }
double Number(const Napi::Object& object, const char* key) {
  return GetNumber(object.Get(key), key);
}

NormKind GetNorm(const Napi::Object& object) {
  return GetString(object.Get("norm"), "norm") == "layer" ? NormKind::kLayer : NormKind::kRms;
}

std::optional<RopeSpec> GetRope(const Napi::Value& value) {
  if (value.IsNull() || value.IsUndefined()) return std::nullopt;
  const auto object = GetObject(value, "rope");
  RopeSpec rope{Number(object, "theta"), 1, std::nullopt};
  if (object.Get("linearFactor").IsNumber()) rope.linear_factor = Number(object, "linearFactor");
  if (object.Get("llama3").IsObject()) {
    const auto l = object.Get("llama3").As<Napi::Object>();
    rope.llama3 = Llama3Stretch{Number(l, "factor"), Number(l, "lowFreqFactor"),
                                Number(l, "highFreqFactor"), Number(l, "originalMaxPositions")};
  }
  return rope;
}

}  // namespace

Dtype GetDtype(const Napi::Value& value) {
  const std::string name = GetString(value, "dtype");
  const auto dtype = DtypeFromName(name);
  if (!dtype) throw BadArgument("unknown dtype " + name);
  return *dtype;
}

Stored GetStored(const Napi::Value& value) {
  const auto object = GetObject(value, "stored");
  Stored stored{GetDtype(object.Get("matrices")), GetDtype(object.Get("vectors"))};
  const auto roles = GetArray(object.Get("asSource"), "asSource");
  for (uint32_t i = 0; i < roles.Length(); ++i) {
    stored.as_source |= 1u << static_cast<size_t>(GetRole(roles.Get(i)));
  }
  return stored;
}

Role GetRole(const Napi::Value& value) {
  const std::string name = GetString(value, "role");
  const auto at = std::find(kRoleNames.begin(), kRoleNames.end(), name);
  if (at == kRoleNames.end()) throw BadArgument("unknown role " + name);
  return static_cast<Role>(at - kRoleNames.begin());
}

AllowedPrecision GetPrecision(const Napi::Value& value) {
  const std::string name = GetString(value, "precision");
  if (name == "bf16") return AllowedPrecision::kBf16;
  if (name == "bf16x3") return AllowedPrecision::kBf16x3;
  if (name == "f32") return AllowedPrecision::kF32;
  throw BadArgument("unknown precision '" + name + "'");
}

SiteKind GetSite(const Napi::Value& value) {
  const std::string name = GetString(value, "site");
  if (name == "attention") return SiteKind::kAttention;
  if (name == "ffn") return SiteKind::kFfn;
  throw BadArgument("unknown site " + name);
}

std::optional<TensorSource> GetTensor(const Napi::Object& refs, std::string_view role,
                                      const Napi::Array& files) {
  const Napi::Value value = refs.Get(std::string(role));
  if (value.IsUndefined() || value.IsNull()) return std::nullopt;
  const auto ref = GetObject(value, std::string(role));
  TensorSource source;
  source.name = GetString(ref.Get("name"), "name");
  source.file = GetHandle<MappedFile>(files.Get(static_cast<uint32_t>(Size(ref, "file"))), "file");
  source.offset = Size(ref, "offset");
  source.bytes = Size(ref, "bytes");
  source.dtype = GetDtype(ref.Get("dtype"));
  const auto shape = GetArray(ref.Get("shape"), "shape");
  if (shape.Length() == 0 || shape.Length() > 2)
    throw BadArgument(source.name + " is not 1-d or 2-d");
  source.rows = shape.Length() == 2 ? GetSize(shape.Get(0u), "shape") : 1;
  source.cols = GetSize(shape.Get(shape.Length() - 1), "shape");
  if (ref.Get("ropeHeads").IsNumber()) source.rope_heads = Size(ref, "ropeHeads");
  const size_t heads_of = source.rows == 1 ? source.cols : source.rows;
  if (source.rope_heads != 0 && heads_of % (2 * source.rope_heads) != 0) {
    throw Error("ERR_CHECKPOINT", "tensor " + source.name + " does not hold whole heads",
                "the file is damaged: get it again");
  }
  const DtypeLayout layout = LayoutOf(source.dtype);
  if (source.cols % layout.elements != 0 ||
      source.rows * (source.cols / layout.elements) * layout.bytes != source.bytes) {
    throw Error("ERR_CHECKPOINT", "tensor " + source.name + " has not the bytes of its shape",
                "the file is damaged: get it again");
  }
  return source;
}

BlockSpec GetBlockSpec(const Napi::Object& object) {
  BlockSpec spec;
  spec.hidden = Size(object, "hidden");
  spec.head_dim = Size(object, "headDim");
  spec.heads = Size(object, "heads");
  spec.kv_heads = Size(object, "kvHeads");
  spec.ffn = Size(object, "ffn");
  spec.norm = GetNorm(object);
  spec.eps = static_cast<float>(Number(object, "eps"));
  spec.post_norm = GetBool(object.Get("postNorm"), "postNorm");
  spec.rope = GetRope(object.Get("rope"));
  spec.sliding = Size(object, "slidingWindow");
  spec.qk_norm = GetBool(object.Get("qkNorm"), "qkNorm");
  spec.gated = GetBool(object.Get("gated"), "gated");
  const std::string activation = GetString(object.Get("activation"), "activation");
  spec.activation = activation == "relu"   ? Activation::kRelu
                    : activation == "gelu" ? Activation::kGelu
                                           : Activation::kSilu;
  if (spec.kv_heads == 0 || spec.heads % spec.kv_heads != 0 || spec.head_dim % 2 != 0) {
    throw BadArgument("heads must be a multiple of kvHeads and headDim even");
  }
  return spec;
}

std::array<std::optional<TensorSource>, kRoles> GetBlockTensors(const Napi::Object& refs,
                                                                const Napi::Array& files) {
  std::array<std::optional<TensorSource>, kRoles> sources;
  for (size_t r = 0; r < kRoles; ++r) sources[r] = GetTensor(refs, kRoleNames[r], files);
  return sources;
}

EndsSpec GetEndsSpec(const Napi::Object& object, const Napi::Object& refs,
                     const Napi::Array& files) {
  EndsSpec spec;
  spec.hidden = Size(object, "hidden");
  spec.vocab = Size(object, "vocab");
  spec.embedding_width = Size(object, "embeddingWidth");
  spec.position_offset = Size(object, "positionOffset");
  spec.norm = GetNorm(object);
  spec.eps = static_cast<float>(Number(object, "eps"));
  spec.stored = GetStored(object.Get("stored"));
  spec.embedding = GetTensor(refs, "embedding", files);
  spec.positions = GetTensor(refs, "positions", files);
  spec.project_in = GetTensor(refs, "projectIn", files);
  spec.project_out = GetTensor(refs, "projectOut", files);
  spec.final_norm = GetTensor(refs, "finalNorm", files);
  spec.final_norm_bias = GetTensor(refs, "finalNormBias", files);
  spec.head = GetTensor(refs, "head", files);
  if (!spec.embedding) throw BadArgument("a model needs an embedding");
  return spec;
}

}  // namespace struprune::addon
