#include "reference_block.h"

#include <cmath>
#include <memory>
#include <numbers>
#include <optional>
#include <random>
#include <string>

#include "float_tensors.h"

namespace struprune::test {
namespace {

double At(const std::vector<float>& values, size_t i) { return values.empty() ? 0.0 : values[i]; }

// y[tokens, out] = x[tokens, in] Wᵀ + bias
Doubles Affine(const Doubles& x, size_t in, const std::vector<float>& weight,
               const std::vector<float>& bias) {
  const size_t tokens = x.size() / in, out = weight.size() / in;
  Doubles y(tokens * out);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t o = 0; o < out; ++o) {
      double sum = At(bias, o);
      for (size_t i = 0; i < in; ++i) sum += x[t * in + i] * weight[o * in + i];
      y[t * out + o] = sum;
    }
  }
  return y;
}

Doubles Normalised(NormKind kind, double eps, const Doubles& x, const std::vector<float>& weight,
                   const std::vector<float>& bias) {
  const size_t n = weight.size();
  Doubles y(x.size());
  for (size_t row = 0; row < x.size(); row += n) {
    double mean = 0, square = 0;
    if (kind == NormKind::kLayer) {
      for (size_t i = 0; i < n; ++i) mean += x[row + i] / static_cast<double>(n);
    }
    for (size_t i = 0; i < n; ++i) {
      square += (x[row + i] - mean) * (x[row + i] - mean) / static_cast<double>(n);
    }
    for (size_t i = 0; i < n; ++i) {
      y[row + i] = (x[row + i] - mean) / std::sqrt(square + eps) * weight[i] + At(bias, i);
    }
  }
  return y;
}

double Frequency(const RopeSpec& spec, size_t pair, size_t dims, size_t window) {
  double f = std::pow(spec.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(dims));
  if (spec.longrope) {
    const bool within = static_cast<double>(window) <= spec.longrope->original_max_positions;
    f /= (within ? spec.longrope->short_factors : spec.longrope->long_factors)[pair];
  }
  if (spec.llama3) {
    // Turns of a pair over the original context decide: many, kept; few, slowed; between, a blend.
    const double turns = spec.llama3->original_max_positions * f / (2 * std::numbers::pi);
    const double low = spec.llama3->low_freq_factor, high = spec.llama3->high_freq_factor;
    const double kept = std::min(1.0, std::max(0.0, (turns - low) / (high - low)));
    f = f * (kept + (1 - kept) / spec.llama3->factor);
  }
  return f / spec.linear_factor;
}

void Rotate(const RopeSpec& spec, size_t window, size_t heads, size_t head_dim, Doubles& x) {
  const size_t dims = spec.dims ? spec.dims : head_dim, half = dims / 2, width = heads * head_dim;
  const double scale = spec.longrope ? spec.longrope->attention_factor : 1;
  for (size_t t = 0; t < x.size() / width; ++t) {
    for (size_t h = 0; h < heads; ++h) {
      double* v = x.data() + t * width + h * head_dim;
      for (size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(t % window) * Frequency(spec, i, dims, window);
        const double a = scale * v[i], b = scale * v[i + half];
        v[i] = a * std::cos(angle) - b * std::sin(angle);
        v[i + half] = a * std::sin(angle) + b * std::cos(angle);
      }
    }
  }
}

// Each head's queries and, behind them, its gates.
void SplitGates(size_t head_dim, Doubles& q, Doubles& gates) {
  Doubles own;
  for (size_t i = 0; i < q.size(); ++i) (i / head_dim % 2 == 0 ? own : gates).push_back(q[i]);
  q = own;
}

Doubles Attention(const DecoderSpec& spec, const BlockWeights& w, size_t window, const Doubles& x) {
  const size_t hd = spec.head_dim, width = spec.heads * hd, kv_width = spec.kv_heads * hd;
  Doubles q = Affine(x, spec.hidden, w[kQ], w[kQBias]), gates;
  if (spec.gated_heads) SplitGates(hd, q, gates);
  Doubles k = Affine(x, spec.hidden, w[kK], w[kKBias]);
  const Doubles v = Affine(x, spec.hidden, w[kV], w[kVBias]);
  if (spec.qk_norm) {
    q = Normalised(NormKind::kRms, spec.eps, q, w[kQNorm], {});
    k = Normalised(NormKind::kRms, spec.eps, k, w[kKNorm], {});
  }
  if (spec.rope) {
    Rotate(*spec.rope, window, spec.heads, hd, q);
    Rotate(*spec.rope, window, spec.kv_heads, hd, k);
  }
  const size_t tokens = x.size() / spec.hidden;
  const double scale = spec.scale.value_or(1 / std::sqrt(static_cast<float>(hd)));
  Doubles out(tokens * width);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t h = 0; h < spec.heads; ++h) {
      const size_t kv = h * spec.kv_heads / spec.heads;
      Doubles weights;
      std::vector<size_t> seen;
      double sum = spec.sinks ? std::exp(double{w[kSinks][h]}) : 0;
      for (size_t s = t - t % window; s <= t; ++s) {
        if (spec.sliding && t - s >= spec.sliding) continue;
        double score = 0;
        for (size_t d = 0; d < hd; ++d) {
          score += q[t * width + h * hd + d] * k[s * kv_width + kv * hd + d];
        }
        score *= scale;
        if (spec.cap > 0) score = spec.cap * std::tanh(score / spec.cap);
        weights.push_back(std::exp(score));
        seen.push_back(s);
        sum += weights.back();
      }
      for (size_t i = 0; i < seen.size(); ++i) {
        for (size_t d = 0; d < hd; ++d) {
          out[t * width + h * hd + d] += weights[i] / sum * v[seen[i] * kv_width + kv * hd + d];
        }
      }
    }
  }
  for (size_t i = 0; i < gates.size(); ++i) out[i] /= 1 + std::exp(-gates[i]);
  return out;
}

double Activated(Activation kind, double x) {
  if (kind == Activation::kSilu) return x / (1 + std::exp(-x));
  if (kind == Activation::kRelu) return x > 0 ? x : 0;
  if (kind == Activation::kGeluTanh) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }
  return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
}

Doubles Ffn(const DecoderSpec& spec, const BlockWeights& w, const Doubles& x) {
  Doubles hidden = Affine(x, spec.hidden, w[kUp], w[kUpBias]);
  if (!spec.gated) {
    for (double& value : hidden) value = Activated(spec.activation, value);
    return hidden;
  }
  const Doubles gate = Affine(x, spec.hidden, w[kGate], w[kGateBias]);
  for (size_t i = 0; i < hidden.size(); ++i) hidden[i] *= Activated(spec.activation, gate[i]);
  return hidden;
}

Doubles Sum(const Doubles& a, const Doubles& b, const Doubles& c) {
  Doubles sum(a.size());
  for (size_t i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i] + c[i];
  return sum;
}

}  // namespace

BlockWeights RandomWeights(const DecoderSpec& spec, const BiasSet& biases, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  BlockWeights weights;
  const auto fill = [&](TensorId role, size_t count, float mean, float spread) {
    auto& values = weights[role];
    values.resize(count);
    for (float& value : values) value = mean + spread * normal(generator);
  };
  const size_t q = spec.heads * spec.head_dim, kv = spec.kv_heads * spec.head_dim, d = spec.hidden;
  const auto matrix = [&](TensorId role, size_t out, size_t in) {
    fill(role, out * in, 0, 1.2f / std::sqrt(static_cast<float>(in)));
  };
  const auto bias = [&](bool wanted, TensorId role, size_t count) {
    if (wanted) fill(role, count, 0, 0.3f);
  };
  const bool normed = spec.in_norm || spec.post_norm;
  for (const size_t site : {kAttention, kFfn}) {
    if (normed) fill(spec.Norm(site), d, 1, 0.3f);
  }
  for (const size_t site : {kAttention, kFfn}) {
    bias(normed && biases.norm && spec.norm == NormKind::kLayer, spec.NormBias(site), d);
  }
  for (const size_t site : {kAttention, kFfn}) {
    if (spec.out_norm) fill({site, Part::kOutNorm}, d, 1, 0.3f);
    bias(spec.out_norm && biases.norm && spec.norm == NormKind::kLayer, {site, Part::kOutNormBias},
         d);
  }
  const size_t q_rows = (spec.gated_heads ? 2 : 1) * q;
  matrix(kQ, q_rows, d);
  matrix(kK, kv, d);
  matrix(kV, kv, d);
  bias(biases.qkv, kQBias, q_rows);
  bias(biases.qkv, kKBias, kv);
  bias(biases.qkv, kVBias, kv);
  if (spec.qk_norm) {
    fill(kQNorm, spec.norm_joins_heads ? q : spec.head_dim, 1, 0.3f);
    fill(kKNorm, spec.norm_joins_heads ? kv : spec.head_dim, 1, 0.3f);
  }
  if (spec.sinks) fill(kSinks, spec.heads, 0, 1);
  matrix(kO, d, q);
  bias(biases.o, kOBias, d);
  if (spec.gated) matrix(kGate, spec.ffn, d);
  bias(biases.ffn_in && spec.gated, kGateBias, spec.ffn);
  matrix(kUp, spec.ffn, d);
  bias(biases.ffn_in, kUpBias, spec.ffn);
  matrix(kDown, d, spec.ffn);
  bias(biases.down, kDownBias, d);
  return weights;
}

BlockSpec DecoderSpec::Block() const {
  const NormSpec own{norm, eps};
  const auto place = [&](SublayerSpec sublayer) {
    if (post_norm) {
      sublayer.stream_norm = own;
    } else if (in_norm) {
      sublayer.norm = own;
    }
    if (out_norm) sublayer.out_norm = own;
    return sublayer;
  };
  AttentionSpec attention;
  attention.kv_heads = kv_heads;
  attention.queries = heads / kv_heads;
  attention.head_dim = head_dim;
  attention.rope = rope;
  attention.sliding = sliding;
  if (qk_norm) attention.head_norm = NormSpec{NormKind::kRms, eps};
  attention.norm_joins_heads = norm_joins_heads;
  attention.scale = scale;
  attention.cap = cap;
  attention.sinks = sinks;
  attention.gated = gated_heads;
  BlockSpec block{hidden,
                  {place({"attention", attention, {}, {}}),
                   place({"ffn", FeedForwardSpec{ffn, activation, gated}, {}, {}})}};
  if (parallel) {
    block.sublayers[kAttention].input = BlockInput::kKept;
    block.sublayers[kFfn].input = BlockInput::kRead;
  }
  return block;
}

struprune::Block MakeBlock(const std::shared_ptr<Context>& context, const DecoderSpec& spec,
                           const BlockWeights& weights, std::shared_ptr<PageStore> store,
                           StripSize strip) {
  const BlockSpec block = spec.Block();
  BlockSources sources(block.sublayers.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    for (size_t p = 0; p < kParts; ++p) {
      const TensorId id{i, static_cast<Part>(p)};
      const auto& values = weights[id];
      if (values.empty()) continue;
      size_t cols = values.size();
      if (!IsVector(id.part)) cols = id.part == Part::kOut ? spec.width(i) : spec.hidden;
      sources[i][p] = FloatTensor(NameOf(block, id), values.size() / cols, cols, values);
    }
  }
  if (!store) store = std::make_shared<PageStore>(context, 0, "");
  return struprune::Block(context, store, block, sources, Stored{}, strip);
}

Doubles ReferenceForward(const DecoderSpec& spec, const BlockWeights& w, size_t window,
                         const Doubles& h, const Doubles& at_attention, const Doubles& at_ffn) {
  const auto norm = [&](const Doubles& x, TensorId weight, TensorId bias) {
    return Normalised(spec.norm, spec.eps, x, w[weight], w[bias]);
  };
  const auto read = [&](const Doubles& stream, size_t site) {
    if (spec.post_norm || !spec.in_norm) return stream;
    return norm(stream, spec.Norm(site), spec.NormBias(site));
  };
  // What a sublayer adds, of its output map's result y + at.
  const auto added = [&](size_t site, const Doubles& y, const Doubles& at) {
    const Doubles sum = Sum(y, at, Doubles(at.size()));
    if (!spec.out_norm) return sum;
    return norm(sum, {site, Part::kOutNorm}, {site, Part::kOutNormBias});
  };
  const Doubles none(h.size());
  const Doubles attention = Affine(Attention(spec, w, window, read(h, kAttention)),
                                   spec.heads * spec.head_dim, w[kO], w[kOBias]);
  Doubles middle = Sum(h, added(kAttention, attention, at_attention), none);
  if (spec.post_norm) middle = norm(middle, spec.Norm(kAttention), spec.NormBias(kAttention));
  const Doubles& before = spec.parallel ? h : middle;
  const Doubles ffn = Affine(Ffn(spec, w, read(before, kFfn)), spec.ffn, w[kDown], w[kDownBias]);
  const Doubles out = Sum(middle, added(kFfn, ffn, at_ffn), none);
  return spec.post_norm ? norm(out, spec.Norm(kFfn), spec.NormBias(kFfn)) : out;
}

}  // namespace struprune::test
