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

bool IsAbsent(const Napi::Value& value) { return value.IsNull() || value.IsUndefined(); }

// {kind: "rms" | "layer", eps}
NormSpec GetNorm(const Napi::Value& value) {
  const auto object = GetObject(value, "norm");
  const std::string kind = GetString(object.Get("kind"), "kind");
  if (kind != "rms" && kind != "layer") throw BadArgument("unknown norm " + kind);
  return {kind == "layer" ? NormKind::kLayer : NormKind::kRms,
          static_cast<float>(Number(object, "eps"))};
}

std::optional<NormSpec> GetNormOrNone(const Napi::Value& value) {
  return IsAbsent(value) ? std::nullopt : std::optional(GetNorm(value));
}

std::optional<RopeSpec> GetRope(const Napi::Value& value) {
  if (IsAbsent(value)) return std::nullopt;
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

Activation GetActivation(const Napi::Value& value) {
  const std::string name = GetString(value, "activation");
  if (name == "silu") return Activation::kSilu;
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  throw BadArgument("unknown activation " + name);
}

AttentionSpec GetAttention(const Napi::Object& object) {
  AttentionSpec spec;
  spec.kv_heads = Size(object, "kvHeads");
  spec.queries = Size(object, "queries");
  spec.head_dim = Size(object, "headDim");
  spec.rope = GetRope(object.Get("rope"));
  spec.sliding = Size(object, "slidingWindow");
  spec.head_norm = GetNormOrNone(object.Get("headNorm"));
  const Napi::Value scale = object.Get("scale");
  if (!IsAbsent(scale)) spec.scale = static_cast<float>(GetNumber(scale, "scale"));
  if (spec.queries == 0 || spec.head_dim == 0 || (spec.rope && spec.head_dim % 2 != 0)) {
    throw BadArgument("an attention has query heads for each KV head, rotary ones of even width");
  }
  return spec;
}

FeedForwardSpec GetFeedForward(const Napi::Object& object) {
  return {Size(object, "width"), GetActivation(object.Get("activation")),
          GetBool(object.Get("gated"), "gated")};
}

// {name, mixer: {kind: "attention" | "ffn", …}, norm, streamNorm, outNorm} of
// lib/model/sublayers.ts
SublayerSpec GetSublayerSpec(const Napi::Value& value) {
  const auto object = GetObject(value, "sublayer");
  const auto mixer = GetObject(object.Get("mixer"), "mixer");
  const std::string kind = GetString(mixer.Get("kind"), "kind");
  SublayerSpec spec;
  spec.name = GetString(object.Get("name"), "name");
  if (kind == "attention") {
    spec.mixer = GetAttention(mixer);
  } else if (kind == "ffn") {
    spec.mixer = GetFeedForward(mixer);
  } else {
    throw BadArgument("unknown mixer " + kind);
  }
  spec.norm = GetNormOrNone(object.Get("norm"));
  spec.stream_norm = GetNormOrNone(object.Get("streamNorm"));
  spec.out_norm = GetNormOrNone(object.Get("outNorm"));
  return spec;
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
  stored.norm_offset = static_cast<float>(Number(object, "normOffset"));
  const auto names = GetArray(object.Get("asSource"), "asSource");
  for (uint32_t i = 0; i < names.Length(); ++i) {
    stored.as_source.push_back(GetString(names.Get(i), "asSource"));
  }
  return stored;
}

TensorId GetTensorId(const Block& block, const Napi::Value& value) {
  return TensorNamed(block.spec(), GetString(value, "tensor"));
}

size_t GetSite(const BlockSpec& spec, const Napi::Value& value) {
  return SublayerNamed(spec, GetString(value, "site"));
}

Sublayer GetSublayer(const Block& block, const Napi::Value& site) {
  return block.sublayer(GetSite(block.spec(), site));
}

AllowedPrecision GetPrecision(const Napi::Value& value) {
  const std::string name = GetString(value, "precision");
  if (name == "bf16") return AllowedPrecision::kBf16;
  if (name == "bf16x3") return AllowedPrecision::kBf16x3;
  if (name == "f32") return AllowedPrecision::kF32;
  throw BadArgument("unknown precision '" + name + "'");
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
  if (ref.Get("plus").IsNumber()) source.plus = static_cast<float>(Number(ref, "plus"));
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

BlockSpec GetBlockSpec(const Napi::Value& value) {
  const auto object = GetObject(value, "spec");
  BlockSpec spec;
  spec.hidden = Size(object, "hidden");
  const auto sublayers = GetArray(object.Get("sublayers"), "sublayers");
  for (uint32_t i = 0; i < sublayers.Length(); ++i) {
    spec.sublayers.push_back(GetSublayerSpec(sublayers.Get(i)));
  }
  return spec;
}

BlockSources GetBlockTensors(const BlockSpec& spec, const Napi::Object& refs,
                             const Napi::Array& files) {
  BlockSources sources(spec.sublayers.size());
  const Napi::Array names = refs.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = GetString(names.Get(i), "name");
    const auto [sublayer, part] = TensorNamed(spec, name);
    sources[sublayer][static_cast<size_t>(part)] = GetTensor(refs, name, files);
  }
  return sources;
}

EndsSpec GetEndsSpec(const Napi::Object& object, const Napi::Object& refs,
                     const Napi::Array& files) {
  EndsSpec spec;
  spec.hidden = Size(object, "hidden");
  spec.vocab = Size(object, "vocab");
  spec.embedding_width = Size(object, "embeddingWidth");
  spec.position_offset = Size(object, "positionOffset");
  spec.embedding_scale = static_cast<float>(Number(object, "embeddingScale"));
  const NormSpec norm = GetNorm(object.Get("norm"));
  spec.norm = norm.kind;
  spec.eps = norm.eps;
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
