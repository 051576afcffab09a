#include "model/forward_steps.h"

#include <algorithm>
#include <cmath>

#include "ops/finite.h"
#include "ops/packed_weights.h"
#include "ops/strip_product.h"

namespace struprune {
namespace {

void AddBias(size_t rows, size_t cols, const float* bias, float* x) {
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) x[i * cols + j] += bias[j];
  }
}

void ActivateFfn(const FeedForwardSpec& spec, size_t count, const float* gate, const float* up,
                 float* out) {
  if (spec.clamp) return ActivateClamped(*spec.clamp, count, gate, up, out);
  Activate(spec.activation, count, gate, up, out);
}

void ApplyNorm(const Sublayer& layer, const NormSpec& norm, Part weight, Part bias, size_t rows,
               const float* x, float* out) {
  const size_t d = layer.hidden();
  Norm(norm.kind, rows, d, x, d, layer.data(weight), layer.data(bias), norm.eps, out, d);
}

void OutNorm(const Sublayer& layer, size_t rows, float* y) {
  const auto& norm = layer.spec().out_norm;
  if (norm) ApplyNorm(layer, *norm, Part::kOutNorm, Part::kOutNormBias, rows, y, y);
}

void NormHeads(const Sublayer& layer, Part weight, size_t rows, size_t heads, float* x,
               float* raw) {
  const AttentionSpec& spec = *layer.attention();
  const size_t values = rows * heads * spec.head_dim, width = spec.normed(heads);
  if (raw) std::copy_n(x, values, raw);
  Norm(spec.head_norm->kind, values / width, width, x, width, layer.data(weight), nullptr,
       spec.head_norm->eps, x, width);
}

// Rows of each head's queries and then its gates.
void SplitGates(size_t heads, size_t head_dim, const QueryGates& gates, float* q) {
  for (size_t i = 0; i < heads; ++i) {
    const float* const from = gates.doubled + 2 * i * head_dim;
    std::copy_n(from, head_dim, q + i * head_dim);
    std::copy_n(from + head_dim, head_dim, gates.gates + i * head_dim);
  }
}

}  // namespace

void Product(const Sublayer& layer, Part weight, size_t rows, const float* x, float beta,
             float* out) {
  StripProduct(layer.context(), *layer.matrix(weight), rows, 1, x, beta, out);
}

void Linear(const Sublayer& layer, Part weight, Part bias, size_t rows, const float* x,
            float* out) {
  Linears(layer, {{weight, bias, out}}, rows, x);
}

void Linears(const Sublayer& layer, std::initializer_list<Map> maps, size_t rows, const float* x) {
  std::vector<WeightTerm> terms;
  for (const Map& map : maps) terms.push_back({layer.matrix(map.weight), map.out});
  StripProducts(layer.context(), terms, rows, 1, x, 0);
  for (const auto& [weight, bias, out] : maps) {
    if (layer.has(bias)) AddBias(rows, layer.shape(weight).rows, layer.data(bias), out);
  }
}

void UpAndGate(const Sublayer& layer, size_t rows, const float* x, float* up, float* gate) {
  const Map up_map{Part::kUp, Part::kUpBias, up};
  if (gate) {
    Linears(layer, {up_map, {Part::kGate, Part::kGateBias, gate}}, rows, x);
  } else {
    Linears(layer, {up_map}, rows, x);
  }
}

void FfnHidden(const Sublayer& layer, size_t rows, const float* x, float* gate, float* out) {
  const FeedForwardSpec& spec = *layer.ffn();
  if (gate) {
    const auto activate = [](const void* state, size_t column, size_t count, float* linear,
                             float* gated, float* to) {
      const Sublayer& of = *static_cast<const Sublayer*>(state);
      if (of.has(Part::kUpBias)) AddBias(1, count, of.data(Part::kUpBias) + column, linear);
      if (of.has(Part::kGateBias)) AddBias(1, count, of.data(Part::kGateBias) + column, gated);
      ActivateFfn(*of.ffn(), count, gated, linear, to);
    };
    const StripJoin join{.apply = activate, .state = &layer, .out = out, .ld = spec.width};
    if (JoinedStripProducts(layer.context(), {layer.matrix(Part::kUp), out},
                            {layer.matrix(Part::kGate), gate}, rows, x, join)) {
      return;
    }
  }
  UpAndGate(layer, rows, x, out, gate);
  ActivateFfn(spec, rows * spec.width, gate, out, out);
}

const float* MixerInput(const Sublayer& layer, size_t rows, const float* hidden, float* scratch) {
  const auto& norm = layer.spec().norm;
  if (!norm) return hidden;
  ApplyNorm(layer, *norm, Part::kNorm, Part::kNormBias, rows, hidden, scratch);
  return scratch;
}

void Project(const Sublayer& layer, const RopeTable* rope, size_t window, size_t first, size_t rows,
             const float* x, float* q, float* k, float* v, float* q_raw, float* k_raw,
             const QueryGates& gates) {
  const AttentionSpec& spec = *layer.attention();
  Linears(layer,
          {{Part::kQ, Part::kQBias, spec.gated ? gates.doubled : q},
           {Part::kK, Part::kKBias, k},
           {Part::kV, Part::kVBias, v}},
          rows, x);
  if (spec.gated) SplitGates(rows * spec.heads(), spec.head_dim, gates, q);
  if (spec.head_norm) {
    NormHeads(layer, Part::kQNorm, rows, spec.heads(), q, q_raw);
    NormHeads(layer, Part::kKNorm, rows, spec.kv_heads, k, k_raw);
  }
  if (rope) {
    rope->Apply(rows, spec.heads(), q, spec.q_width(), first, window);
    rope->Apply(rows, spec.kv_heads, k, spec.kv_width(), first, window);
  }
}

void Output(const Sublayer& layer, size_t rows, const float* x, float* y) {
  Linear(layer, Part::kOut, Part::kOutBias, rows, x, y);
  OutNorm(layer, rows, y);
}

void AddToStream(const Sublayer& layer, size_t rows, float* y, float* hidden) {
  OutNorm(layer, rows, y);
  for (size_t i = 0; i < rows * layer.hidden(); ++i) hidden[i] += y[i];
  StreamNorm(layer, rows, hidden, hidden);
}

void AddOutput(const Sublayer& layer, size_t rows, const float* x, float* hidden, float* scratch) {
  const size_t d = layer.hidden();
  if (layer.spec().out_norm) {
    Linear(layer, Part::kOut, Part::kOutBias, rows, x, scratch);
    AddToStream(layer, rows, scratch, hidden);
    return;
  }
  Product(layer, Part::kOut, rows, x, 1, hidden);
  if (layer.has(Part::kOutBias)) AddBias(rows, d, layer.data(Part::kOutBias), hidden);
  StreamNorm(layer, rows, hidden, hidden);
}

void StreamNorm(const Sublayer& layer, size_t rows, const float* x, float* out) {
  const auto& norm = layer.spec().stream_norm;
  if (norm) ApplyNorm(layer, *norm, Part::kStreamNorm, Part::kStreamNormBias, rows, x, out);
}

Scan ScanOf(const Sublayer& layer, size_t rows, std::initializer_list<Part> weights) {
  Scan scan{{}, ChunkCount(layer.context(), rows)};
  for (const Part part : weights) {
    PagedMatrix* const matrix = layer.matrix(part);
    if (!IsPacked(layer.context(), matrix)) scan.matrices.push_back(matrix);
  }
  return scan;
}

AttentionShape ShapeOf(const Sublayer& layer, size_t window) {
  const AttentionSpec& spec = *layer.attention();
  const float usual = 1.0f / std::sqrt(static_cast<float>(spec.head_dim));
  return {window,        spec.heads(),
          spec.kv_heads, spec.head_dim,
          spec.sliding,  spec.scale.value_or(usual),
          spec.cap,      layer.data(Part::kSinks)};
}

void CheckFinite(const Sublayer& layer, size_t rows, const float* hidden) {
  if (AllFinite(hidden, rows * layer.hidden())) return;
  throw Error("ERR_NAN", "hidden states are no longer finite",
              "the checkpoint may be damaged, or its dtype too narrow for this text");
}

}  // namespace struprune
