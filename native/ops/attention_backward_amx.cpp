// 256 keys at a time, on which 32 queries after 32 are multiplied: scores and the gradients of
// their weights in tiles, weights P and gradients dS of the scores in vectors, what they add to the
// gradients of q, k and v in tiles. Those of k and v are summed transposed, [head_dim, keys]: then
// rows of P and dS are what second operands are packed from, and no weight is transposed.
#include <algorithm>
#include <cstddef>

#include "core/error.h"
#include "ops/amx_ring.h"
#include "ops/amx_tiles.h"
#include "ops/attention_amx.h"
#include "ops/attention_vectors.h"
#include "ops/gemm_amx.h"

namespace struprune {

#ifdef STRUPRUNE_HAS_AMX

using namespace amx;

namespace {

// Of 32 queries on the keys at hand.
struct alignas(64) Item {
  size_t first, count;                // queries
  size_t keys;                        // that the last of them may see, from the first at hand on
  float log_sum[kSide], dots[kSide];  // in units of log 2; rowsum(g ∘ out)
  float* grad_q;                      // of the first query
  uint16_t *q, *g;  // [32, head_dim] as first operands: the queries, and gradients of the outputs
  uint16_t *q_transposed, *g_transposed;  // [head_dim, 32], the same
  float *scores, *grads;                  // [32, kStride]: q kᵀ, and g vᵀ
  uint16_t *p, *ds;                       // [32, keys] as second operands
  uint16_t* ds_first;                     // as first operand
};

// What a thread works in.
struct Work {
  uint16_t *k, *v;         // keys and values at hand as second operands [head_dim, keys],
  uint16_t* k_values;      // and keys [keys, head_dim]
  float *grad_k, *grad_v;  // [head_dim, kStride], not scaled
  float* sums;             // [32, 32]
  Item* items;
};

Work WorkIn(AttentionScratch& scratch, size_t parts, size_t head_dim) {
  const size_t width = Whole(head_dim, kSide);
  const size_t tile = AmxPackedSize(parts, kKeys, head_dim) * sizeof(uint16_t);
  const size_t panel = AmxPackedSize(parts, kSide, head_dim) * sizeof(uint16_t);
  const size_t weights = AmxPackedSize(parts, kSide, kKeys) * sizeof(uint16_t);
  const size_t scores = kSide * kStride * sizeof(float), grads = width * kStride * sizeof(float);
  const auto at = Divide<10>(
      scratch, {tile, tile, tile, grads, grads, kSide * kSide * sizeof(float), kItems * 4 * panel,
                kItems * 2 * scores, kItems * 3 * weights, kItems * sizeof(Item)});
  Work work{.k = reinterpret_cast<uint16_t*>(at[0]),
            .v = reinterpret_cast<uint16_t*>(at[1]),
            .k_values = reinterpret_cast<uint16_t*>(at[2]),
            .grad_k = reinterpret_cast<float*>(at[3]),
            .grad_v = reinterpret_cast<float*>(at[4]),
            .sums = reinterpret_cast<float*>(at[5]),
            .items = reinterpret_cast<Item*>(at[9])};
  for (size_t i = 0; i < kItems; ++i) {
    Item& item = work.items[i];
    const auto part = [i](std::byte* from, size_t count, size_t index, size_t bytes) {
      return from + (i * count + index) * bytes;
    };
    item.q = reinterpret_cast<uint16_t*>(part(at[6], 4, 0, panel));
    item.g = reinterpret_cast<uint16_t*>(part(at[6], 4, 1, panel));
    item.q_transposed = reinterpret_cast<uint16_t*>(part(at[6], 4, 2, panel));
    item.g_transposed = reinterpret_cast<uint16_t*>(part(at[6], 4, 3, panel));
    item.scores = reinterpret_cast<float*>(part(at[7], 2, 0, scores));
    item.grads = reinterpret_cast<float*>(part(at[7], 2, 1, scores));
    item.p = reinterpret_cast<uint16_t*>(part(at[8], 3, 0, weights));
    item.ds = reinterpret_cast<uint16_t*>(part(at[8], 3, 1, weights));
    item.ds_first = reinterpret_cast<uint16_t*>(part(at[8], 3, 2, weights));
  }
  return work;
}

template <int kParts>
struct Backward {
  using Item = struprune::Item;
  const AttentionShape& shape;
  const float unit;            // of a score, in powers of two
  const size_t width;          // head_dim in whole panels
  const size_t tile, in_tile;  // first key at hand, and how many there are
  const Work& work;

  static constexpr size_t kStep = kParts * 2 * kTileSize;

  size_t Steps(const Item& item) const { return Whole(item.keys, kDepth) / kDepth; }
  size_t ScoreSteps(const Item& item) const { return 2 * Steps(item) * (width / kDepth); }
  size_t MultiplySteps(const Item& item) const { return 3 * Steps(item) * (width / kSide); }
  // Queries i and i + 16 on 32 keys at a time: they are pairs of a second operand. Those that there
  // are not become zeros.
  size_t Lines(const Item& item) const { return kTile * Steps(item); }

  // to[32, kStride] = a bᵀ for panels of keys b.
  template <typename Meanwhile>
  STRUPRUNE_AMX void Products(const Item& item, const uint16_t* a, const uint16_t* b, float* to,
                              Meanwhile meanwhile) const {
    const size_t panel = AmxPanelSize(kParts, shape.head_dim);
    LoadFirst<kParts>(a, b);
    for (size_t key = 0; key < item.keys; key += kSide) {
      const uint16_t* const next = key + kSide < item.keys ? b + panel : b;
      SumProducts<kParts>(width / kDepth, a, b, a, next, meanwhile);
      StoreSums(to + key, kStride);
      b = next;
    }
  }

  template <typename Meanwhile>
  STRUPRUNE_AMX void Score(const Item& item, Meanwhile meanwhile) const {
    Products(item, item.q, work.k, item.scores, meanwhile);
    Products(item, item.g, work.v, item.grads, meanwhile);
  }

  void Begin(Item&) const {}

  // P = exp(scale q kᵀ − log_sum) and dS = P ∘ (g vᵀ − dot).
  STRUPRUNE_AMX void Weigh(const Item& item, size_t line) const {
    const size_t i = line % kTile, step = line / kTile, key = step * kDepth;
    const __m512 by = _mm512_set1_ps(unit);
    __m512 p[2][2], ds[2][2];  // of both queries, 16 keys and the next 16
    for (size_t half = 0; half < 2; ++half) {
      const size_t query = i + half * kTile;
      const Visible seen = query < item.count
                               ? WithinTile(VisibleTo(shape, item.first + query), tile, item.keys)
                               : Visible{0, 0};
      const __m512 log_sum = _mm512_set1_ps(-item.log_sum[query]);
      const __m512 dot = _mm512_set1_ps(item.dots[query]);
      for (size_t j = 0; j < 2; ++j) {
        const size_t at = query * kStride + key + j * kTile;
        const __mmask16 lanes = LanesSeen(seen, key + j * kTile);
        const __m512 score = _mm512_loadu_ps(item.scores + at);
        const __m512 weight = PowerOfTwo(_mm512_fmadd_ps(score, by, log_sum));
        const __m512 grad = _mm512_sub_ps(_mm512_loadu_ps(item.grads + at), dot);
        p[half][j] = _mm512_maskz_mov_ps(lanes, weight);
        ds[half][j] = _mm512_maskz_mul_ps(lanes, weight, grad);
      }
    }
    const size_t to = step * kStep + i * kDepth;
    for (size_t j = 0; j < 2; ++j) {
      Split<kParts>(p[0][j], p[1][j], item.p + to + j * kTileSize);
      Split<kParts>(ds[0][j], ds[1][j], item.ds + to + j * kTileSize);
      Split<kParts>(ds[j][0], ds[j][1], item.ds_first + to + j * kTileSize);
    }
  }

  // to[head_dim, kStride] += a b for a panel of 32 of a's lines after the other.
  template <typename Meanwhile>
  STRUPRUNE_AMX void AddTransposed(const Item& item, const uint16_t* a, const uint16_t* weights,
                                   float* to, Meanwhile meanwhile) const {
    LoadFirst<kParts>(a, weights);
    for (size_t d = 0; d < width; d += kSide, a += kStep) {
      const uint16_t* b = weights;
      for (size_t key = 0; key < item.keys; key += kSide) {
        const bool last = key + kSide >= item.keys;
        const uint16_t* const next_a = !last ? a : d + kSide < width ? a + kStep : a;
        const uint16_t* const next_b = last ? weights : b + kStep;
        float* const sums = to + d * kStride + key;
        LoadSums(sums, kStride);
        AddProducts<kParts>(1, a, b, next_a, next_b, meanwhile);
        StoreSums(sums, kStride);
        b = next_b;
      }
    }
  }

  template <typename Meanwhile>
  STRUPRUNE_AMX void Multiply(const Item& item, Meanwhile meanwhile) const {
    const size_t panel = AmxPanelSize(kParts, in_tile), q_stride = shape.heads * shape.head_dim;
    const __m512 scale = _mm512_set1_ps(shape.scale);
    const uint16_t* k = work.k_values;
    LoadFirst<kParts>(item.ds_first, k);
    for (size_t d = 0; d < width; d += kSide) {
      const uint16_t* const next = d + kSide < width ? k + panel : k;
      SumProducts<kParts>(Steps(item), item.ds_first, k, item.ds_first, next, meanwhile);
      StoreSums(work.sums, kSide);
      k = next;
      for (size_t i = 0; i < item.count; ++i) {
        float* const to = item.grad_q + i * q_stride + d;
        for (size_t j = 0; j < kSide && d + j < shape.head_dim; j += kTile) {
          const __mmask16 mask = Mask(shape.head_dim - d - j);
          const __m512 sum = _mm512_load_ps(work.sums + i * kSide + j);
          const __m512 old = _mm512_maskz_loadu_ps(mask, to + j);
          _mm512_mask_storeu_ps(to + j, mask, _mm512_fmadd_ps(sum, scale, old));
        }
      }
    }
    AddTransposed(item, item.g_transposed, item.p, work.grad_v, meanwhile);
    AddTransposed(item, item.q_transposed, item.ds, work.grad_k, meanwhile);
  }
};

STRUPRUNE_AMX inline float DotOf(size_t count, const float* x, const float* y) {
  __m512 sum = _mm512_setzero_ps();
  for (size_t j = 0; j < count; j += kTile) {
    const __mmask16 mask = Mask(count - j);
    sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + j), _mm512_maskz_loadu_ps(mask, y + j),
                          sum);
  }
  return _mm512_reduce_add_ps(sum);
}

// to[keys, head_dim], rows `stride` apart = scale from[head_dim, kStride]ᵀ.
void PutTransposed(size_t keys, size_t head_dim, float scale, const float* from, float* to,
                   size_t stride) {
  constexpr size_t kBlock = 16;
  for (size_t key = 0; key < keys; key += kBlock) {
    for (size_t d = 0; d < head_dim; ++d) {
      for (size_t i = key; i < std::min(keys, key + kBlock); ++i) {
        to[i * stride + d] = scale * from[d * kStride + i];
      }
    }
  }
}

template <int kParts>
STRUPRUNE_AMX void Run(const AttentionShape& shape, size_t kv_head, const float* q, const float* k,
                       const float* v, const float* out, const float* log_sum,
                       const float* grad_out, float* grad_q, float* grad_k, float* grad_v,
                       AttentionScratch& scratch) {
  const size_t hd = shape.head_dim, width = Whole(hd, kSide), window = shape.window;
  const size_t q_stride = shape.heads * hd, kv_stride = shape.kv_heads * hd;
  const size_t group = shape.heads / shape.kv_heads, kv = kv_head * hd;
  const Work work = WorkIn(scratch, kParts, hd);
  for (size_t t = 0; t < window; ++t) {
    std::fill_n(grad_q + t * q_stride + kv_head * group * hd, group * hd, 0.0f);
  }
  LoadTileConfig();
  for (size_t tile = 0; tile < window; tile += kKeys) {
    const size_t in_tile = std::min(kKeys, window - tile), at = tile * kv_stride + kv;
    AmxPack(kParts, true, true, k + at, kv_stride, in_tile, hd, work.k);
    AmxPack(kParts, true, true, v + at, kv_stride, in_tile, hd, work.v);
    AmxPack(kParts, true, false, k + at, kv_stride, hd, in_tile, work.k_values);
    std::fill_n(work.grad_k, width * kStride, 0.0f);
    std::fill_n(work.grad_v, width * kStride, 0.0f);
    const Backward<kParts> kernel{shape, shape.scale * kLog2E, width, tile, in_tile, work};
    Ring<Backward<kParts>> ring(kernel, work.items);
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      for (size_t first = tile; first < window; first += kSide) {
        if (VisibleTo(shape, first).begin >= tile + in_tile) break;  // nor does any later one
        const size_t count = std::min(kSide, window - first), from = first * q_stride + head * hd;
        Item& item = ring.Next();
        item.first = first;
        item.count = count;
        item.keys = std::min(in_tile, first + count - tile);
        item.grad_q = grad_q + from;
        for (size_t i = 0; i < kSide; ++i) {
          const size_t row = from + i * q_stride;
          item.dots[i] = i < count ? DotOf(hd, out + row, grad_out + row) : 0.0f;
          item.log_sum[i] = i < count ? log_sum[head * window + first + i] * kLog2E : 0.0f;
        }
        AmxPack(kParts, false, true, q + from, q_stride, count, hd, item.q);
        AmxPack(kParts, false, true, grad_out + from, q_stride, count, hd, item.g);
        AmxPack(kParts, false, false, q + from, q_stride, hd, count, item.q_transposed);
        AmxPack(kParts, false, false, grad_out + from, q_stride, hd, count, item.g_transposed);
        ring.Advance(&item);
      }
    }
    ring.Finish();
    PutTransposed(in_tile, hd, shape.scale, work.grad_k, grad_k + at, kv_stride);
    PutTransposed(in_tile, hd, 1, work.grad_v, grad_v + at, kv_stride);
  }
  _tile_release();
}

}  // namespace

void AmxAttendBackward(size_t parts, const AttentionShape& shape, size_t kv_head, const float* q,
                       const float* k, const float* v, const float* out, const float* log_sum,
                       const float* grad_out, float* grad_q, float* grad_k, float* grad_v,
                       AttentionScratch& scratch) {
  const auto run = parts == 1 ? Run<1> : parts == 2 ? Run<2> : Run<3>;
  run(shape, kv_head, q, k, v, out, log_sum, grad_out, grad_q, grad_k, grad_v, scratch);
}

#else

void AmxAttendBackward(size_t, const AttentionShape&, size_t, const float*, const float*,
                       const float*, const float*, const float*, const float*, float*, float*,
                       float*, AttentionScratch&) {
  throw Error("ERR_INTERNAL", "no tiles on this machine");
}

#endif

}  // namespace struprune
