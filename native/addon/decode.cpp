#include "addon/decode.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace struprune::addon {
namespace {

// Widths, counts and vocabularies; no product of two of them overflows.
constexpr size_t kMostWidth = size_t{1} << 31;
// A spec has an entry for each.
constexpr size_t kMostExperts = size_t{1} << 12;

size_t WidthOf(const Plain& value, std::string_view name) {
  const size_t width = SizeOf(value, name);
  if (width > kMostWidth) throw BadArgument(std::string(name) + " is larger than any model's");
  return width;
}

size_t WidthIn(const Plain& object, std::string_view name) {
  return WidthOf(FieldOf(object, name), name);
}

// {kind: "rms" | "layer", eps}
NormSpec DecodeNorm(const Plain& value) {
  const std::string& kind = TextOf(FieldOf(value, "kind"), "kind");
  if (kind != "rms" && kind != "layer") throw BadArgument("unknown norm " + kind);
  return {kind == "layer" ? NormKind::kLayer : NormKind::kRms,
          static_cast<float>(NumberIn(value, "eps"))};
}

std::optional<NormSpec> DecodeNormOrNone(const Plain& value) {
  return value.absent() ? std::nullopt : std::optional(DecodeNorm(value));
}

std::vector<double> NumbersIn(const Plain& object, std::string_view name) {
  std::vector<double> numbers;
  for (const Plain& value : ListOf(FieldOf(object, name), name)) {
    numbers.push_back(NumberOf(value, name));
  }
  return numbers;
}

std::optional<RopeSpec> DecodeRope(const Plain& value) {
  if (value.absent()) return std::nullopt;
  RopeSpec rope{.theta = NumberIn(value, "theta")};
  const Plain& dims = FieldOf(value, "dims");
  if (!dims.absent()) rope.dims = SizeOf(dims, "dims");
  const Plain& linear = FieldOf(value, "linearFactor");
  if (!linear.absent()) rope.linear_factor = NumberOf(linear, "linearFactor");
  const Plain& stretch = FieldOf(value, "llama3");
  if (!stretch.absent()) {
    rope.llama3 = Llama3Stretch{NumberIn(stretch, "factor"), NumberIn(stretch, "lowFreqFactor"),
                                NumberIn(stretch, "highFreqFactor"),
                                NumberIn(stretch, "originalMaxPositions")};
  }
  const Plain& longrope = FieldOf(value, "longrope");
  if (!longrope.absent()) {
    rope.longrope =
        LongRope{NumbersIn(longrope, "short"), NumbersIn(longrope, "long"),
                 NumberIn(longrope, "originalMaxPositions"), NumberIn(longrope, "attentionFactor")};
  }
  return rope;
}

void CheckRope(const RopeSpec& rope, size_t head_dim) {
  const size_t turned = rope.turned(head_dim);
  if (turned % 2 != 0 || turned > head_dim) {
    throw BadArgument("rope turns an even number of a head's entries");
  }
  const auto fits = [&](const std::vector<double>& factors) {
    return factors.size() == turned / 2;
  };
  if (rope.longrope && !(fits(rope.longrope->short_factors) && fits(rope.longrope->long_factors))) {
    throw BadArgument("longrope has a factor for every pair that turns");
  }
}

Activation DecodeActivation(const Plain& value) {
  const std::string& name = TextOf(value, "activation");
  if (name == "silu") return Activation::kSilu;
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  throw BadArgument("unknown activation " + name);
}

// 0 where there is none.
float CapIn(const Plain& object, const char* key) {
  const Plain& cap = FieldOf(object, key);
  const float value = cap.absent() ? 0.0f : static_cast<float>(NumberOf(cap, key));
  if (value < 0 || !std::isfinite(value)) throw BadArgument("a cap is a number above 0");
  return value;
}

AttentionSpec DecodeAttention(const Plain& object) {
  AttentionSpec spec;
  spec.kv_heads = WidthIn(object, "kvHeads");
  spec.queries = WidthIn(object, "queries");
  spec.head_dim = WidthIn(object, "headDim");
  spec.rope = DecodeRope(FieldOf(object, "rope"));
  spec.sliding = SizeIn(object, "slidingWindow");
  spec.head_norm = DecodeNormOrNone(FieldOf(object, "headNorm"));
  spec.norm_joins_heads = FlagOf(FieldOf(object, "normJoinsHeads"), "normJoinsHeads");
  const Plain& scale = FieldOf(object, "scale");
  if (!scale.absent()) spec.scale = static_cast<float>(NumberOf(scale, "scale"));
  spec.cap = CapIn(object, "cap");
  spec.sinks = FlagOf(FieldOf(object, "sinks"), "sinks");
  spec.gated = FlagOf(FieldOf(object, "gated"), "gated");
  if (spec.queries == 0 || spec.head_dim == 0) {
    throw BadArgument("an attention has query heads for each KV head");
  }
  if (spec.rope) CheckRope(*spec.rope, spec.head_dim);
  const size_t of_head = spec.queries * spec.head_dim;
  if (of_head > kMostWidth || of_head * spec.kv_heads > kMostWidth) {
    throw BadArgument("the heads are wider than any model's");
  }
  return spec;
}

FeedForwardSpec DecodeFeedForward(const Plain& object) {
  return {WidthIn(object, "width"), DecodeActivation(FieldOf(object, "activation")),
          FlagOf(FieldOf(object, "gated"), "gated")};
}

// Of experts, whose gate may be clamped.
FeedForwardSpec DecodeExpert(const Plain& object) {
  FeedForwardSpec spec = DecodeFeedForward(object);
  const Plain& clamp = FieldOf(object, "clamp");
  if (clamp.absent()) return spec;
  spec.clamp = ClampedGate{static_cast<float>(NumberIn(clamp, "limit")),
                           static_cast<float>(NumberIn(clamp, "alpha"))};
  if (!spec.gated) throw BadArgument("there is no gate to clamp");
  return spec;
}

ExpertsSpec DecodeExperts(const Plain& object) {
  ExpertsSpec spec{.count = WidthIn(object, "count"),
                   .top_k = WidthIn(object, "topK"),
                   .renormalised = FlagOf(FieldOf(object, "renormalised"), "renormalised"),
                   .expert = DecodeExpert(FieldOf(object, "expert"))};
  const Plain& shared = FieldOf(object, "shared");
  if (!shared.absent()) spec.shared = DecodeExpert(shared);
  spec.shared_gated = FlagOf(FieldOf(object, "sharedGated"), "sharedGated");
  spec.sigmoid = FlagOf(FieldOf(object, "sigmoid"), "sigmoid");
  if (spec.count > kMostExperts || spec.top_k == 0 || spec.top_k > spec.count) {
    throw BadArgument("a token passes some of the experts that there are");
  }
  return spec;
}

ConvolutionSpec DecodeConvolution(const Plain& object) {
  const ConvolutionSpec spec{WidthIn(object, "width"), WidthIn(object, "kernel")};
  if (spec.kernel == 0) throw BadArgument("a convolution sees a token at least");
  if (spec.width > kMostWidth / 3 || spec.width * spec.kernel > kMostWidth) {
    throw BadArgument("the convolution is wider than any model's");
  }
  return spec;
}

DeltaSpec DecodeDelta(const Plain& object) {
  const DeltaSpec spec{.key_heads = WidthIn(object, "keyHeads"),
                       .value_heads = WidthIn(object, "valueHeads"),
                       .key_dim = WidthIn(object, "keyDim"),
                       .value_dim = WidthIn(object, "valueDim"),
                       .kernel = WidthIn(object, "kernel"),
                       .eps = static_cast<float>(NumberIn(object, "eps")),
                       .tiled = FlagOf(FieldOf(object, "tiled"), "tiled")};
  // Each alone, and then their products.
  constexpr size_t kMost = 1 << 15;
  for (const size_t size :
       {spec.key_heads, spec.value_heads, spec.key_dim, spec.value_dim, spec.kernel}) {
    if (size == 0 || size > kMost) throw BadArgument("a delta rule has heads of usual widths");
  }
  if (spec.value_heads % spec.key_heads != 0) {
    throw BadArgument("as many value heads share each key head");
  }
  if (spec.mixed() > kMostWidth / spec.kernel) {
    throw BadArgument("the delta rule is wider than any model's");
  }
  return spec;
}

// "kept", "read" or null
BlockInput DecodeInput(const Plain& value) {
  if (value.absent()) return BlockInput::kNone;
  const std::string& input = TextOf(value, "input");
  if (input == "kept") return BlockInput::kKept;
  if (input == "read") return BlockInput::kRead;
  throw BadArgument("unknown input " + input);
}

// {name, mixer: {kind: "attention" | "ffn" | "experts" | "convolution" | "delta", …}, norm,
// streamNorm, outNorm, input} of lib/model/sublayers.ts
SublayerSpec DecodeSublayer(const Plain& object) {
  const Plain& mixer = FieldOf(object, "mixer");
  const std::string& kind = TextOf(FieldOf(mixer, "kind"), "kind");
  SublayerSpec spec;
  spec.name = TextOf(FieldOf(object, "name"), "name");
  if (kind == "attention") {
    spec.mixer = DecodeAttention(mixer);
  } else if (kind == "ffn") {
    if (!FieldOf(mixer, "clamp").absent()) throw BadArgument("only experts clamp their gates");
    spec.mixer = DecodeFeedForward(mixer);
  } else if (kind == "experts") {
    spec.mixer = DecodeExperts(mixer);
  } else if (kind == "convolution") {
    spec.mixer = DecodeConvolution(mixer);
  } else if (kind == "delta") {
    spec.mixer = DecodeDelta(mixer);
  } else {
    throw BadArgument("unknown mixer " + kind);
  }
  spec.norm = DecodeNormOrNone(FieldOf(object, "norm"));
  spec.stream_norm = DecodeNormOrNone(FieldOf(object, "streamNorm"));
  spec.out_norm = DecodeNormOrNone(FieldOf(object, "outNorm"));
  spec.input = DecodeInput(FieldOf(object, "input"));
  if (spec.input != BlockInput::kNone && (spec.experts() || spec.stream_norm)) {
    throw BadArgument("experts and norms of the stream have no others beside them");
  }
  return spec;
}

// rows[rows, cols] in `bytes` of that layout, without an overflow.
bool HasBytes(size_t rows, size_t cols, const DtypeLayout& layout, size_t bytes) {
  if (cols % layout.elements != 0) return false;
  size_t row = 0, all = 0;
  return !__builtin_mul_overflow(cols / layout.elements, layout.bytes, &row) &&
         !__builtin_mul_overflow(rows, row, &all) && all == bytes &&
         !__builtin_mul_overflow(rows, cols, &all);
}

Error Undescribed(const std::string& what) {
  return Error("ERR_CHECKPOINT", "the model's " + what,
               "the checkpoint's config does not describe its weights");
}

// {file, offset, bytes, dtype, blockRows, blockColumns, row}
BlockScales DecodeScales(const Plain& object, const TensorSource& source, Files files) {
  BlockScales scales;
  const size_t file = SizeIn(object, "file");
  if (file >= files.size()) throw BadArgument(source.name + " has scales in no file");
  scales.file = files[file];
  scales.offset = SizeIn(object, "offset");
  scales.dtype = DecodeDtype(FieldOf(object, "dtype"));
  scales.block_rows = WidthIn(object, "blockRows");
  scales.block_cols = WidthIn(object, "blockColumns");
  scales.row = WidthIn(object, "row");
  const size_t bytes = SizeIn(object, "bytes");
  if (scales.block_rows == 0 || scales.block_cols == 0 || source.rope_heads != 0 ||
      source.stored_columns != 0 || LayoutOf(scales.dtype).elements != 1) {
    throw BadArgument(source.name + " cannot have scales of blocks");
  }
  const size_t last = source.rows == 0 ? 0 : scales.row + PlaceOf(source, source.rows - 1);
  const size_t rows = source.rows == 0 ? 0 : last / scales.block_rows + 1;
  const size_t cols = (source.cols + scales.block_cols - 1) / scales.block_cols;
  if (bytes < rows * cols * LayoutOf(scales.dtype).bytes || scales.offset > scales.file->size() ||
      bytes > scales.file->size() - scales.offset) {
    throw Error("ERR_CHECKPOINT", "tensor " + source.name + " has not a scale for each block",
                "the file is damaged: get it again");
  }
  return scales;
}

void RequireShape(const char* name, const std::optional<TensorSource>& source, size_t rows,
                  size_t cols) {
  if (source && (source->rows != rows || source->cols != cols)) {
    throw Undescribed(std::string(name) + " has another shape");
  }
}

void RequireShapes(const EndsSpec& spec) {
  const size_t hidden = spec.hidden, width = spec.embedding_width;
  const bool projects = width != hidden;
  if (!spec.embedding) throw Undescribed("embedding is missing");
  if (projects && !(spec.project_in && spec.project_out)) {
    throw Undescribed("projectIn or projectOut is missing");
  }
  RequireShape("embedding", spec.embedding, spec.vocab, width);
  if (spec.positions) {
    RequireShape("positions", spec.positions, spec.positions->rows, hidden);
    if (spec.position_offset > spec.positions->rows) {
      throw Undescribed("positions has another shape");
    }
  }
  RequireShape("projectIn", spec.project_in, hidden, width);
  RequireShape("projectOut", spec.project_out, width, hidden);
  RequireShape("finalNorm", spec.final_norm, 1, hidden);
  RequireShape("finalNormBias", spec.final_norm_bias, 1, hidden);
  RequireShape("head", spec.head, spec.vocab, width);
}

}  // namespace

Dtype DecodeDtype(const Plain& value) {
  const std::string& name = TextOf(value, "dtype");
  const auto dtype = DtypeFromName(name);
  if (!dtype) throw BadArgument("unknown dtype " + name);
  return *dtype;
}

Stored DecodeStored(const Plain& value) {
  Stored stored{DecodeDtype(FieldOf(value, "matrices")), DecodeDtype(FieldOf(value, "vectors"))};
  stored.norm_offset = static_cast<float>(NumberIn(value, "normOffset"));
  stored.output_scale = static_cast<float>(NumberIn(value, "outputScale"));
  stored.final_norm_scale = static_cast<float>(NumberIn(value, "finalNormScale"));
  stored.decay_as_rate = FlagOf(FieldOf(value, "decayAsRate"), "decayAsRate");
  for (const Plain& name : ListOf(FieldOf(value, "asSource"), "asSource")) {
    stored.as_source.push_back(TextOf(name, "asSource"));
  }
  return stored;
}

std::optional<TensorSource> DecodeTensor(const Plain& refs, std::string_view role, Files files) {
  const Plain& ref = FieldOf(refs, role);
  if (ref.absent()) return std::nullopt;
  TensorSource source;
  source.name = TextOf(FieldOf(ref, "name"), "name");
  const size_t file = SizeIn(ref, "file");
  if (file >= files.size()) throw BadArgument(source.name + " lies in a file that is not there");
  source.file = files[file];
  source.offset = SizeIn(ref, "offset");
  source.bytes = SizeIn(ref, "bytes");
  source.dtype = DecodeDtype(FieldOf(ref, "dtype"));
  const Plain::List& shape = ListOf(FieldOf(ref, "shape"), "shape");
  if (shape.empty() || shape.size() > 2) throw BadArgument(source.name + " is not 1-d or 2-d");
  source.rows = shape.size() == 2 ? SizeOf(shape[0], "shape") : 1;
  source.cols = SizeOf(shape.back(), "shape");
  const Plain& heads = FieldOf(ref, "ropeHeads");
  if (!heads.absent()) source.rope_heads = SizeOf(heads, "ropeHeads");
  const Plain& columns = FieldOf(ref, "storedColumns");
  if (!columns.absent()) source.stored_columns = WidthOf(columns, "storedColumns");
  const Plain& step = FieldOf(ref, "step");
  if (!step.absent()) source.step = WidthOf(step, "step");
  const Plain& run = FieldOf(ref, "run");
  if (!run.absent()) source.run = WidthOf(run, "run");
  const Plain& plus = FieldOf(ref, "plus");
  if (!plus.absent()) source.scaling.plus = static_cast<float>(NumberOf(plus, "plus"));
  const Plain& times = FieldOf(ref, "times");
  if (!times.absent()) source.scaling.times = static_cast<float>(NumberOf(times, "times"));
  const Plain& rate = FieldOf(ref, "asRate");
  source.scaling.as_rate = !rate.absent() && FlagOf(rate, "asRate");
  const size_t entries = source.rows == 1 ? source.cols : source.rows;
  if (source.rope_heads != 0 && entries % (2 * source.rope_heads) != 0) {
    throw Error("ERR_CHECKPOINT", "tensor " + source.name + " does not hold whole heads",
                "the file is damaged: get it again");
  }
  if (source.stored_columns != 0 &&
      (source.stored_columns < source.rows || LayoutOf(source.dtype).elements != 1)) {
    throw BadArgument(source.name + " cannot be stored transposed");
  }
  if (source.run == 0 || source.step < source.run || entries % source.run != 0 ||
      (source.step > 1 && source.rope_heads != 0) ||
      (source.step > 1 && source.rows == 1 && LayoutOf(source.dtype).elements != 1)) {
    throw BadArgument(source.name + " cannot have rows between its own");
  }
  if (!HasBytes(source.rows, source.cols, LayoutOf(source.dtype), source.bytes)) {
    throw Error("ERR_CHECKPOINT", "tensor " + source.name + " has not the bytes of its shape",
                "the file is damaged: get it again");
  }
  const Plain& scales = FieldOf(ref, "scales");
  if (!scales.absent()) source.scales = DecodeScales(scales, source, files);
  return source;
}

BlockSpec DecodeBlockSpec(const Plain& value) {
  BlockSpec spec;
  spec.hidden = WidthIn(value, "hidden");
  spec.index = static_cast<uint32_t>(WidthIn(value, "index"));
  for (const Plain& sublayer : ListOf(FieldOf(value, "sublayers"), "sublayers")) {
    spec.sublayers.push_back(DecodeSublayer(sublayer));
    std::ranges::move(InsideOf(spec.sublayers.back()), std::back_inserter(spec.sublayers));
  }
  return spec;
}

BlockSources DecodeBlockTensors(const BlockSpec& spec, const Plain& refs, Files files) {
  BlockSources sources(spec.sublayers.size());
  for (const PlainField& field : FieldsOf(refs, "tensors")) {
    const auto [sublayer, part] = TensorNamed(spec, field.name);
    sources[sublayer][static_cast<size_t>(part)] = DecodeTensor(refs, field.name, files);
  }
  return sources;
}

EndsSpec DecodeEndsSpec(const Plain& object, const Plain& refs, Files files) {
  EndsSpec spec;
  spec.hidden = WidthIn(object, "hidden");
  spec.vocab = WidthIn(object, "vocab");
  spec.embedding_width = WidthIn(object, "embeddingWidth");
  spec.position_offset = WidthIn(object, "positionOffset");
  spec.embedding_scale = static_cast<float>(NumberIn(object, "embeddingScale"));
  spec.logit_cap = CapIn(object, "logitCap");
  spec.stored = DecodeStored(FieldOf(object, "stored"));
  spec.embedding = DecodeTensor(refs, "embedding", files);
  spec.positions = DecodeTensor(refs, "positions", files);
  spec.project_in = DecodeTensor(refs, "projectIn", files);
  spec.project_out = DecodeTensor(refs, "projectOut", files);
  spec.final_norm = DecodeTensor(refs, "finalNorm", files);
  spec.final_norm_bias = DecodeTensor(refs, "finalNormBias", files);
  spec.head = DecodeTensor(refs, "head", files);
  const NormSpec norm = DecodeNorm(FieldOf(object, "norm"));
  spec.norm = norm.kind;
  spec.eps = norm.eps;
  for (const Plain& role : ListOf(FieldOf(object, "roles"), "roles")) {
    const std::string& name = TextOf(role, "roles");
    if (FieldOf(refs, name).absent()) throw Undescribed(name + " is missing");
  }
  RequireShapes(spec);
  const Plain& sample = FieldOf(object, "sample");
  if (sample.absent()) return spec;
  for (const Plain& token : ListOf(sample, "sample")) {
    const size_t row = WidthOf(token, "sample");
    if (row >= spec.vocab) throw BadArgument("sample has a token outside the vocabulary");
    spec.sample.push_back(static_cast<int32_t>(row));
  }
  if (spec.sample.empty()) throw BadArgument("sample has no token");
  spec.vocab = spec.sample.size();
  return spec;
}

}  // namespace struprune::addon
