#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/simd.h"
#include "ops/attention_amx.h"
#include "ops/exp.h"
#include "ops/gemm.h"
#include "ops/gemm_amx.h"
#include "ops/gemm_path.h"
#include "ops/soft_cap.h"
#include "ops/softmax.h"
#include "ops/visible.h"

namespace struprune {
namespace {

// scores[0, keys) -> exp(scores - max) with the entries outside `part` set to 0; updates the
// running maximum and sum and returns the factor by which older sums shrink.
float SoftmaxStep(float* scores, size_t keys, Visible part, float& maximum, float& sum) {
  // Whole vectors: what is added has a weight of exactly 0 beside any finite score.
  constexpr size_t kLanes = 16;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const size_t begin = part.begin / kLanes * kLanes;
  const size_t end = std::min(keys, (part.end + kLanes - 1) / kLanes * kLanes);
  std::fill(scores + begin, scores + part.begin, kNone);
  std::fill(scores + part.end, scores + end, kNone);
  const float top = MaximumOf(end - begin, scores + begin, maximum);
  const float added = ExpInPlace(end - begin, scores + begin, top);
  std::fill(scores, scores + begin, 0.0f);
  std::fill(scores + end, scores + keys, 0.0f);
  const float shrink = sum > 0 ? Exp(maximum - top) : 0.0f;
  sum = sum * shrink + added;
  maximum = top;
  return shrink;
}

// Capped scores[keys] -> weights P, 0 outside `part`; grad[keys] (of P) -> grad of the scores as
// they were before the cap.
STRUPRUNE_CLONES
void SoftmaxBackwardRow(float* scores, float* grad, size_t keys, Visible part, float log_sum,
                        float dot, float cap) {
  const float inverse = cap > 0 ? 1 / cap : 0.0f;
  std::fill(scores, scores + part.begin, 0.0f);
  std::fill(grad, grad + part.begin, 0.0f);
#pragma omp simd
  for (size_t j = part.begin; j < part.end; ++j) {
    const float weight = Exp(scores[j] - log_sum), share = scores[j] * inverse;
    scores[j] = weight;
    grad[j] = weight * (grad[j] - dot) * (1 - share * share);
  }
  std::fill(scores + part.end, scores + keys, 0.0f);
  std::fill(grad + part.end, grad + keys, 0.0f);
}

// Of the calling thread's AMX path; 0: general products.
size_t AmxParts(const AttentionShape& shape) {
  return shape.plain() && HasAmx() ? PartsOf(CurrentGemmPath()) : 0;
}

}  // namespace

void AttendTile(const AttentionShape& shape, size_t head, size_t first, size_t count,
                const float* q, const float* k, const float* v, const PackedHead* packed,
                float* out, float* log_sum, AttentionScratch& scratch) {
  if (const size_t parts = AmxParts(shape)) {
    AmxAttendTile(parts, shape, head, first, count, q, k, v, packed, out, log_sum, scratch);
    return;
  }
  const size_t hd = shape.head_dim;
  const size_t q_stride = shape.heads * hd, kv_stride = shape.kv_heads * hd;
  const size_t kv = head / (shape.heads / shape.kv_heads) * hd;
  scratch.scores.resize(kQueryTile * kScoreStride);
  scratch.aux.resize(2 * kQueryTile);
  float* scores = scratch.scores.data();
  float* maximum = scratch.aux.data();
  float* sum = maximum + kQueryTile;
  const float* const sink = shape.sinks ? shape.sinks + head : nullptr;
  std::fill_n(maximum, count, sink ? *sink : -std::numeric_limits<float>::infinity());
  std::fill_n(sum, count, sink ? 1.0f : 0.0f);
  const float* queries = q + first * q_stride + head * hd;
  float* to = out + first * q_stride + head * hd;
  for (size_t i = 0; i < count; ++i) std::fill_n(to + i * q_stride, hd, 0.0f);

  const size_t last_key = first + count;
  const size_t first_key = VisibleTo(shape, first).begin / kKeyTile * kKeyTile;
  for (size_t tile = first_key; tile < last_key; tile += kKeyTile) {
    const size_t keys = std::min(kKeyTile, last_key - tile);
    Gemm(Trans::kNo, Trans::kYes, count, keys, hd, shape.scale, queries, q_stride,
         k + tile * kv_stride + kv, kv_stride, 0.0f, scores, kScoreStride);
    for (size_t i = 0; i < count; ++i) {
      const Visible part = WithinTile(VisibleTo(shape, first + i), tile, keys);
      float* row = scores + i * kScoreStride;
      if (part.begin == part.end) {
        std::fill_n(row, keys, 0.0f);
      } else {
        SoftCap(shape.cap, part.end - part.begin, row + part.begin);
        const float shrink = SoftmaxStep(row, keys, part, maximum[i], sum[i]);
        float* o = to + i * q_stride;
        for (size_t d = 0; d < hd; ++d) o[d] *= shrink;
      }
    }
    Gemm(Trans::kNo, Trans::kNo, count, hd, keys, 1.0f, scores, kScoreStride,
         v + tile * kv_stride + kv, kv_stride, 1.0f, to, q_stride);
  }
  for (size_t i = 0; i < count; ++i) {
    const float inverse = 1.0f / sum[i];
    float* o = to + i * q_stride;
    for (size_t d = 0; d < hd; ++d) o[d] *= inverse;
    if (log_sum) log_sum[i] = maximum[i] + std::log(sum[i]);
  }
}

// P = exp(scale q kᵀ − log_sum); grad_v = Pᵀ g; dS = P ∘ (g vᵀ − rowsum(g ∘ out)); grad_q = scale
// dS k; grad_k = scale dSᵀ q. (Standard softmax attention gradient, by tiles.) A sink is in log_sum
// alone: its value is 0.
void AttendBackward(const AttentionShape& shape, size_t kv_head, const float* q, const float* k,
                    const float* v, const float* out, const float* log_sum, const float* grad_out,
                    float* grad_q, float* grad_k, float* grad_v, AttentionScratch& scratch) {
  if (const size_t parts = AmxParts(shape)) {
    AmxAttendBackward(parts, shape, kv_head, q, k, v, out, log_sum, grad_out, grad_q, grad_k,
                      grad_v, scratch);
    return;
  }
  const size_t hd = shape.head_dim, window = shape.window;
  const size_t q_stride = shape.heads * hd, kv_stride = shape.kv_heads * hd;
  const size_t group = shape.heads / shape.kv_heads, kv = kv_head * hd;
  scratch.scores.resize(2 * kQueryTile * kScoreStride);
  scratch.aux.resize(kQueryTile);
  float* p = scratch.scores.data();
  float* ds = p + kQueryTile * kScoreStride;
  float* dots = scratch.aux.data();
  for (size_t t = 0; t < window; ++t) {
    std::fill_n(grad_k + t * kv_stride + kv, hd, 0.0f);
    std::fill_n(grad_v + t * kv_stride + kv, hd, 0.0f);
  }
  for (size_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (size_t first = 0; first < window; first += kQueryTile) {
      const size_t count = std::min(kQueryTile, window - first);
      const size_t at = first * q_stride + head * hd;
      for (size_t i = 0; i < count; ++i) {
        float dot = 0;
        for (size_t d = 0; d < hd; ++d) {
          dot += out[at + i * q_stride + d] * grad_out[at + i * q_stride + d];
        }
        dots[i] = dot;
        std::fill_n(grad_q + at + i * q_stride, hd, 0.0f);
      }
      const size_t last_key = first + count;
      const size_t first_key = VisibleTo(shape, first).begin / kKeyTile * kKeyTile;
      for (size_t tile = first_key; tile < last_key; tile += kKeyTile) {
        const size_t keys = std::min(kKeyTile, last_key - tile);
        const size_t kv_at = tile * kv_stride + kv;
        Gemm(Trans::kNo, Trans::kYes, count, keys, hd, shape.scale, q + at, q_stride, k + kv_at,
             kv_stride, 0.0f, p, kScoreStride);
        Gemm(Trans::kNo, Trans::kYes, count, keys, hd, 1.0f, grad_out + at, q_stride, v + kv_at,
             kv_stride, 0.0f, ds, kScoreStride);
        for (size_t i = 0; i < count; ++i) {
          const Visible part = WithinTile(VisibleTo(shape, first + i), tile, keys);
          float* prow = p + i * kScoreStride;
          float* drow = ds + i * kScoreStride;
          SoftCap(shape.cap, part.end - part.begin, prow + part.begin);
          SoftmaxBackwardRow(prow, drow, keys, part, log_sum[head * window + first + i], dots[i],
                             shape.cap);
        }
        Gemm(Trans::kYes, Trans::kNo, keys, hd, count, 1.0f, p, kScoreStride, grad_out + at,
             q_stride, 1.0f, grad_v + kv_at, kv_stride);
        Gemm(Trans::kNo, Trans::kNo, count, hd, keys, shape.scale, ds, kScoreStride, k + kv_at,
             kv_stride, 1.0f, grad_q + at, q_stride);
        Gemm(Trans::kYes, Trans::kNo, keys, hd, count, shape.scale, ds, kScoreStride, q + at,
             q_stride, 1.0f, grad_k + kv_at, kv_stride);
      }
    }
  }
}

}  // namespace struprune
