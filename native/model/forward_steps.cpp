#include "model/forward_steps.h"

#include <algorithm>
#include <cmath>

#include "ops/packed_weights.h"
#include "ops/strip_product.h"

namespace struprune {
namespace {

void AddBias(size_t rows, size_t cols, const float* bias, float* x) {
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) x[i * cols + j] += bias[j];
  }
}

void NormHeads(const Block& block, Role weight, size_t rows, size_t heads, float* x, float* raw) {
  const size_t hd = block.spec().head_dim;
  if (raw) std::copy_n(x, rows * heads * hd, raw);
  Norm(NormKind::kRms, rows * heads, hd, x, hd, block.data(weight), nullptr, block.spec().eps, x,
       hd);
}

}  // namespace

void Product(const Block& block, Role weight, size_t rows, const float* x, float beta, float* out) {
  StripProduct(block.context(), *block.matrix(weight), rows, 1, x, beta, out);
}

void Linear(const Block& block, Role weight, Role bias, size_t rows, const float* x, float* out) {
  Linears(block, {{weight, bias, out}}, rows, x);
}

void Linears(const Block& block, std::initializer_list<Map> maps, size_t rows, const float* x) {
  std::vector<WeightTerm> terms;
  for (const Map& map : maps) terms.push_back({block.matrix(map.weight), map.out});
  StripProducts(block.context(), terms, rows, 1, x, 0);
  for (const auto& [weight, bias, out] : maps) {
    if (block.has(bias)) AddBias(rows, block.shape(weight).rows, block.data(bias), out);
  }
}

void UpAndGate(const Block& block, size_t rows, const float* x, float* up, float* gate) {
  const Map up_map{Role::kUp, Role::kUpBias, up};
  if (gate) {
    Linears(block, {up_map, {Role::kGate, Role::kGateBias, gate}}, rows, x);
  } else {
    Linears(block, {up_map}, rows, x);
  }
}

void FfnHidden(const Block& block, size_t rows, const float* x, float* gate, float* out) {
  const BlockSpec& spec = block.spec();
  if (gate) {
    const auto activate = [](const void* state, size_t column, size_t count, float* linear,
                             float* gated, float* to) {
      const Block& of = *static_cast<const Block*>(state);
      if (of.has(Role::kUpBias)) AddBias(1, count, of.data(Role::kUpBias) + column, linear);
      if (of.has(Role::kGateBias)) AddBias(1, count, of.data(Role::kGateBias) + column, gated);
      Activate(of.spec().activation, count, gated, linear, to);
    };
    const StripJoin join{.apply = activate, .state = &block, .out = out, .ld = spec.ffn};
    if (JoinedStripProducts(block.context(), {block.matrix(Role::kUp), out},
                            {block.matrix(Role::kGate), gate}, rows, x, join)) {
      return;
    }
  }
  UpAndGate(block, rows, x, out, gate);
  Activate(spec.activation, rows * spec.ffn, gate, out, out);
}

const float* SiteInput(const Block& block, SiteKind site, size_t rows, const float* hidden,
                       float* scratch) {
  const BlockSpec& spec = block.spec();
  if (spec.post_norm) return hidden;
  const bool attention = site == SiteKind::kAttention;
  Norm(spec.norm, rows, spec.hidden, hidden, spec.hidden,
       block.data(attention ? Role::kAttnNorm : Role::kFfnNorm),
       block.data(attention ? Role::kAttnNormBias : Role::kFfnNormBias), spec.eps, scratch,
       spec.hidden);
  return scratch;
}

void Project(const Block& block, const RopeTable* rope, size_t window, size_t first, size_t rows,
             const float* x, float* q, float* k, float* v, float* q_raw, float* k_raw) {
  const BlockSpec& spec = block.spec();
  Linears(block,
          {{Role::kQ, Role::kQBias, q}, {Role::kK, Role::kKBias, k}, {Role::kV, Role::kVBias, v}},
          rows, x);
  if (spec.qk_norm) {
    NormHeads(block, Role::kQNorm, rows, spec.heads, q, q_raw);
    NormHeads(block, Role::kKNorm, rows, spec.kv_heads, k, k_raw);
  }
  if (rope) {
    rope->Apply(rows, spec.heads, q, spec.heads * spec.head_dim, first, window);
    rope->Apply(rows, spec.kv_heads, k, spec.kv_heads * spec.head_dim, first, window);
  }
}

void AddOutput(const Block& block, SiteKind site, size_t rows, const float* x, float* hidden) {
  const BlockSpec& spec = block.spec();
  Product(block, OutputRole(site), rows, x, 1, hidden);
  const Role bias = OutputBiasRole(site);
  if (block.has(bias)) AddBias(rows, spec.hidden, block.data(bias), hidden);
  if (spec.post_norm) {
    const bool attention = site == SiteKind::kAttention;
    Norm(spec.norm, rows, spec.hidden, hidden, spec.hidden,
         block.data(attention ? Role::kAttnNorm : Role::kFfnNorm),
         block.data(attention ? Role::kAttnNormBias : Role::kFfnNormBias), spec.eps, hidden,
         spec.hidden);
  }
}

Scan ScanOf(const Block& block, size_t rows, std::initializer_list<Role> weights) {
  Scan scan{{}, ChunkCount(block.context(), rows)};
  for (const Role role : weights) {
    PagedMatrix* const matrix = block.matrix(role);
    if (!IsPacked(block.context(), matrix)) scan.matrices.push_back(matrix);
  }
  return scan;
}

AttentionShape ShapeOf(const BlockSpec& spec, size_t window) {
  return {window,        spec.heads,   spec.kv_heads,
          spec.head_dim, spec.sliding, 1.0f / std::sqrt(static_cast<float>(spec.head_dim))};
}

}  // namespace struprune
