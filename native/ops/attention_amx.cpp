// Of 32 queries at a time on up to kKeys keys: scores in tiles, weights in vectors, what they add
// to the output in tiles. Weights never leave the caches, and are split into parts of bf16 as they
// are made.
#include "ops/attention_amx.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "core/error.h"
#include "ops/amx_ring.h"
#include "ops/amx_tiles.h"
#include "ops/attention_vectors.h"
#include "ops/gemm_amx.h"

namespace struprune {

#ifdef STRUPRUNE_HAS_AMX

using namespace amx;

namespace {

static_assert(kQueryTile % kSide == 0);
constexpr float kNone = -std::numeric_limits<float>::infinity();

// The largest in each of 16 lanes.
STRUPRUNE_AMX inline __m512 LargestInLanes(const float* scores, Visible seen) {
  __m512 top[2] = {_mm512_set1_ps(kNone), _mm512_set1_ps(kNone)};
  size_t key = seen.begin;
  for (; key + 2 * kTile <= seen.end; key += 2 * kTile) {
    top[0] = _mm512_max_ps(top[0], _mm512_loadu_ps(scores + key));
    top[1] = _mm512_max_ps(top[1], _mm512_loadu_ps(scores + key + kTile));
  }
  for (; key < seen.end; key += kTile) {
    const __mmask16 mask = Mask(seen.end - key);
    top[0] = _mm512_mask_max_ps(top[0], mask, top[0], _mm512_maskz_loadu_ps(mask, scores + key));
  }
  return _mm512_max_ps(top[0], top[1]);
}

// Lane i = the largest of rows[i]: two rows become one, half of the lanes for each, until every
// lane is of a row of its own.
STRUPRUNE_AMX inline __m512 LargestOfRows(__m512 rows[kTile]) {
  for (size_t i = 0; i < 8; ++i) {
    const __m512 low = _mm512_shuffle_f32x4(rows[i], rows[i + 8], 0x44);
    rows[i] = _mm512_max_ps(low, _mm512_shuffle_f32x4(rows[i], rows[i + 8], 0xee));
  }
  for (size_t i = 0; i < 4; ++i) {
    const __m512 even = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0x88);
    rows[i] = _mm512_max_ps(even, _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0xdd));
  }
  for (size_t i = 0; i < 2; ++i) {
    const __m512 low = _mm512_shuffle_ps(rows[i], rows[i + 2], 0x44);
    rows[i] = _mm512_max_ps(low, _mm512_shuffle_ps(rows[i], rows[i + 2], 0xee));
  }
  const __m512 even = _mm512_shuffle_ps(rows[0], rows[1], 0x88);
  const __m512 top = _mm512_max_ps(even, _mm512_shuffle_ps(rows[0], rows[1], 0xdd));
  // Quarters are of rows 0, 8, 4 and 12 on, their lanes of the next 0, 2, 1 and 3.
  const __m512i order = _mm512_set_epi32(15, 13, 14, 12, 7, 5, 6, 4, 11, 9, 10, 8, 3, 1, 2, 0);
  return _mm512_permutexvar_ps(order, top);
}

// Of a panel of 32 queries, over the keys so far.
struct alignas(64) Softmax {
  float largest[kSide];      // score
  float sums[kSide][kTile];  // of weights, in lanes

  void Clear() {
    std::fill_n(largest, kSide, kNone);
    std::fill_n(sums[0], kSide * kTile, 0.0f);
  }
};

// Keys from `first` on with their values, packed as second operands.
struct Keys {
  size_t first, count;
  const uint16_t *k, *v;
  size_t k_panel, v_panel;
};

// A panel of at most 32 queries on a run of keys: scores, then weights, then what they add to o.
struct alignas(64) Item {
  // What all of a query's weights are relative to: its largest score in units of log 2.
  float base[kSide];
  float shrink[kSide];  // of what was relative to the base before
  size_t first, count;  // queries
  Keys keys;
  const uint16_t* q;
  float* o;  // [32, width] values weighted so far
  Softmax* softmax;
  float* scores;      // [32, kStride]
  uint16_t* weights;  // as first operand
};

// What a thread works in.
struct Work {
  uint16_t* q;        // queries as first operand
  uint16_t* weights;  // of every item
  uint16_t *k, *v;    // of kKeys keys that came unpacked, of as many runs as there are items
  float* scores;      // of every item
  float* sums;        // [32, 32] of values
  float* o;           // [kQueryTile, width]
  Softmax* softmax;   // [kQueryTile / 32]
  Item* items;
};

Work WorkIn(AttentionScratch& scratch, size_t parts, size_t head_dim, bool packs) {
  const size_t tile = packs ? AmxPackedSize(parts, kKeys, head_dim) * sizeof(uint16_t) : 0;
  const auto at = Divide<9>(
      scratch, {AmxPackedSize(parts, kQueryTile, head_dim) * sizeof(uint16_t),
                kItems * AmxPackedSize(parts, kSide, kKeys) * sizeof(uint16_t), kItems * tile,
                kItems * tile, kItems * kSide * kStride * sizeof(float),
                kSide * kSide * sizeof(float), kQueryTile * Whole(head_dim, kSide) * sizeof(float),
                kQueryTile / kSide * sizeof(Softmax), kItems * sizeof(Item)});
  Work work{.q = reinterpret_cast<uint16_t*>(at[0]),
            .weights = reinterpret_cast<uint16_t*>(at[1]),
            .k = reinterpret_cast<uint16_t*>(at[2]),
            .v = reinterpret_cast<uint16_t*>(at[3]),
            .scores = reinterpret_cast<float*>(at[4]),
            .sums = reinterpret_cast<float*>(at[5]),
            .o = reinterpret_cast<float*>(at[6]),
            .softmax = reinterpret_cast<Softmax*>(at[7]),
            .items = reinterpret_cast<Item*>(at[8])};
  for (size_t i = 0; i < kItems; ++i) {
    work.items[i].scores = work.scores + i * kSide * kStride;
    work.items[i].weights = work.weights + i * AmxPackedSize(parts, kSide, kKeys);
  }
  return work;
}

// Of the item's keys.
Visible SeenBy(const AttentionShape& shape, size_t query, const Keys& keys) {
  return WithinTile(VisibleTo(shape, query), keys.first, keys.count);
}

// scores[32, kStride] = q kᵀ, not scaled.
template <int kParts, typename Meanwhile>
STRUPRUNE_AMX inline void Score(const Item& item, size_t width, Meanwhile meanwhile) {
  LoadFirst<kParts>(item.q, item.keys.k);
  const uint16_t* k = item.keys.k;
  for (size_t key = 0; key < item.keys.count; key += kSide) {
    const uint16_t* const next = key + kSide < item.keys.count ? k + item.keys.k_panel : k;
    SumProducts<kParts>(width / kDepth, item.q, k, item.q, next, meanwhile);
    StoreSums(item.scores + key, kStride);
    k = next;
  }
}

// Takes the scores into the largest so far.
STRUPRUNE_AMX void Rebase(const AttentionShape& shape, float unit, Item& item) {
  Softmax& softmax = *item.softmax;
  const __m512 by = _mm512_set1_ps(unit);
  for (size_t half = 0; half < item.count; half += kTile) {
    __m512 rows[kTile];
    for (size_t i = 0; i < kTile; ++i) {
      const Visible seen =
          half + i < item.count ? SeenBy(shape, item.first + half + i, item.keys) : Visible{0, 0};
      rows[i] = LargestInLanes(item.scores + (half + i) * kStride, seen);
    }
    const __m512 before = _mm512_load_ps(softmax.largest + half);
    const __m512 largest = _mm512_max_ps(before, LargestOfRows(rows));
    const __m512 base = _mm512_mul_ps(largest, by);
    _mm512_store_ps(softmax.largest + half, largest);
    _mm512_store_ps(item.base + half, base);
    // Exactly 1 where nothing larger came, or nothing yet.
    const __m512 shrink = PowerOfTwo(_mm512_sub_ps(_mm512_mul_ps(before, by), base));
    const __mmask16 same = _mm512_cmp_ps_mask(before, largest, _CMP_EQ_OQ);
    _mm512_store_ps(item.shrink + half, _mm512_mask_mov_ps(shrink, same, _mm512_set1_ps(1.0f)));
  }
}

// The scores of query i -> its weights as a line of the first operand.
template <int kParts>
STRUPRUNE_AMX inline void Weigh(const AttentionShape& shape, float unit, const Item& item,
                                size_t i) {
  const Visible seen = SeenBy(shape, item.first + i, item.keys);
  const __m512 by = _mm512_set1_ps(unit), minus = _mm512_set1_ps(-item.base[i]);
  const auto weights = [&](__m512 score)
                           STRUPRUNE_AMX { return PowerOfTwo(_mm512_fmadd_ps(score, by, minus)); };
  const auto some = [&](const float* from, __mmask16 lanes) STRUPRUNE_AMX {
    return _mm512_maskz_mov_ps(lanes, weights(_mm512_maskz_loadu_ps(lanes, from)));
  };
  float* const total = item.softmax->sums[i];
  __m512 sums[2] = {_mm512_mul_ps(_mm512_set1_ps(item.shrink[i]), _mm512_load_ps(total)),
                    _mm512_setzero_ps()};
  const float* from = item.scores + i * kStride;
  uint16_t* to = item.weights + i / kTile * kTileSize + i % kTile * kDepth;
  for (size_t key = 0; key < item.keys.count; key += kDepth, from += kDepth) {
    __m512 low, high;
    if (key >= seen.begin && key + kDepth <= seen.end) {
      low = weights(_mm512_loadu_ps(from));
      high = weights(_mm512_loadu_ps(from + kTile));
    } else {
      low = some(from, LanesSeen(seen, key));
      high = some(from + kTile, LanesSeen(seen, key + kTile));
    }
    sums[0] = _mm512_add_ps(sums[0], low);
    sums[1] = _mm512_add_ps(sums[1], high);
    Split<kParts>(low, high, to);
    to += kParts * 2 * kTileSize;
  }
  _mm512_store_ps(total, _mm512_add_ps(sums[0], sums[1]));
}

// o = shrink o + weights v.
template <int kParts, typename Meanwhile>
STRUPRUNE_AMX inline void AddValues(const Item& item, size_t width, float* sums,
                                    Meanwhile meanwhile) {
  LoadFirst<kParts>(item.weights, item.keys.v);
  const uint16_t* v = item.keys.v;
  for (size_t d = 0; d < width; d += kSide) {
    const uint16_t* const next = d + kSide < width ? v + item.keys.v_panel : v;
    SumProducts<kParts>(Whole(item.keys.count, kDepth) / kDepth, item.weights, v, item.weights,
                        next, meanwhile);
    StoreSums(sums, kSide);
    v = next;
    for (size_t i = 0; i < item.count; ++i) {
      float* const o = item.o + i * width + d;
      const __m512 shrink = _mm512_set1_ps(item.shrink[i]);
      for (size_t j = 0; j < kSide; j += kTile) {
        const __m512 sum = _mm512_load_ps(sums + i * kSide + j);
        _mm512_store_ps(o + j, _mm512_fmadd_ps(_mm512_load_ps(o + j), shrink, sum));
      }
    }
  }
}

// What the ring does with an item.
template <int kParts>
struct Forward {
  using Item = struprune::Item;
  const AttentionShape& shape;
  const float unit;
  const size_t width;
  float* const sums;

  size_t ScoreSteps(const Item& item) const {
    return Whole(item.keys.count, kSide) / kSide * (width / kDepth);
  }
  size_t MultiplySteps(const Item& item) const {
    return Whole(item.keys.count, kDepth) / kDepth * (width / kSide);
  }
  size_t Lines(const Item& item) const { return item.count; }
  template <typename Meanwhile>
  STRUPRUNE_AMX void Score(const Item& item, Meanwhile meanwhile) const {
    struprune::Score<kParts>(item, width, meanwhile);
  }
  STRUPRUNE_AMX void Begin(Item& item) const { Rebase(shape, unit, item); }
  STRUPRUNE_AMX void Weigh(const Item& item, size_t query) const {
    struprune::Weigh<kParts>(shape, unit, item, query);
  }
  template <typename Meanwhile>
  STRUPRUNE_AMX void Multiply(const Item& item, Meanwhile meanwhile) const {
    AddValues<kParts>(item, width, sums, meanwhile);
  }
};

template <int kParts>
STRUPRUNE_AMX void Attend(const AttentionShape& shape, size_t head, size_t first, size_t count,
                          const float* q, const float* k, const float* v, const PackedHead* packed,
                          float* out, float* log_sum, AttentionScratch& scratch) {
  const size_t hd = shape.head_dim, width = Whole(hd, kSide), panel_size = AmxPanelSize(kParts, hd);
  const size_t q_stride = shape.heads * hd, kv_stride = shape.kv_heads * hd;
  const size_t kv = head / (shape.heads / shape.kv_heads) * hd;
  const float unit = shape.scale * kLog2E;
  const Work work = WorkIn(scratch, kParts, hd, !packed);
  AmxPack(kParts, false, true, q + first * q_stride + head * hd, q_stride, count, hd, work.q);
  std::fill_n(work.o, count * width, 0.0f);
  for (size_t i = 0; i < count; i += kSide) work.softmax[i / kSide].Clear();

  const Forward<kParts> kernel{shape, unit, width, work.sums};
  Ring<Forward<kParts>> ring(kernel, work.items);
  LoadTileConfig();
  const size_t last_key = first + count;
  const size_t first_key = VisibleTo(shape, first).begin / kKeys * kKeys;
  for (size_t tile = first_key; tile < last_key; tile += kKeys) {
    const size_t in_tile = std::min(kKeys, last_key - tile);
    Keys keys{tile, in_tile, nullptr, nullptr, panel_size, AmxPanelSize(kParts, in_tile)};
    if (packed) {
      const AmxOperand from_k = packed->keys.At(packed->row + tile);
      const AmxOperand from_v = packed->values.At(0, packed->row + tile);
      keys = {tile, in_tile, from_k.packed, from_v.packed, from_k.panel, from_v.panel};
    } else {
      const size_t at = tile * kv_stride + kv, size = AmxPackedSize(kParts, kKeys, hd);
      uint16_t* const to_k = work.k + tile / kKeys % kItems * size;
      uint16_t* const to_v = work.v + tile / kKeys % kItems * size;
      AmxPack(kParts, true, true, k + at, kv_stride, in_tile, hd, to_k);
      AmxPack(kParts, true, false, v + at, kv_stride, hd, in_tile, to_v);
      keys.k = to_k;
      keys.v = to_v;
    }
    for (size_t i = 0; i < count; i += kSide) {
      const size_t queries = std::min(kSide, count - i), end = first + i + queries;
      if (end <= tile) continue;  // sees none of them
      Item& item = ring.Next();
      item.first = first + i;
      item.count = queries;
      item.keys = keys;
      item.keys.count = std::min(kKeys, end - tile);
      item.q = work.q + i / kSide * panel_size;
      item.o = work.o + i * width;
      item.softmax = &work.softmax[i / kSide];
      ring.Advance(&item);
    }
  }
  ring.Finish();
  _tile_release();

  for (size_t i = 0; i < count; ++i) {
    const Softmax& softmax = work.softmax[i / kSide];
    const float sum = _mm512_reduce_add_ps(_mm512_load_ps(softmax.sums[i % kSide]));
    const float inverse = 1.0f / sum;
    float* const to = out + (first + i) * q_stride + head * hd;
    for (size_t d = 0; d < hd; ++d) to[d] = work.o[i * width + d] * inverse;
    if (log_sum) log_sum[i] = softmax.largest[i % kSide] * shape.scale + std::log(sum);
  }
}

}  // namespace

void AmxAttendTile(size_t parts, const AttentionShape& shape, size_t head, size_t first,
                   size_t count, const float* q, const float* k, const float* v,
                   const PackedHead* packed, float* out, float* log_sum,
                   AttentionScratch& scratch) {
  const auto attend = parts == 1 ? Attend<1> : parts == 2 ? Attend<2> : Attend<3>;
  attend(shape, head, first, count, q, k, v, packed, out, log_sum, scratch);
}

#else

void AmxAttendTile(size_t, const AttentionShape&, size_t, size_t, size_t, const float*,
                   const float*, const float*, const PackedHead*, float*, float*,
                   AttentionScratch&) {
  throw Error("ERR_INTERNAL", "no tiles on this machine");
}

#endif

}  // namespace struprune
