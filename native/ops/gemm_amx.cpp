#include "ops/gemm_amx.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/budget.h"
#include "core/os/cpu_features.h"
#include "ops/amx_tiles.h"

namespace struprune {

#ifdef STRUPRUNE_HAS_AMX

using namespace amx;

namespace {

static_assert(kSide == kAmxLines);
// Deepest panel, whose products are summed in tiles before C is updated, and rows of A that are
// packed at once: measured; of three parts they fill a little more than half of the second cache.
constexpr size_t kMaxDepth = 768, kRows = 256;
// Blocks of C whose sums are kept: of two products that are joined, and of the two before them.
constexpr size_t kSums = 4;

// Buffers of a product.
class Scratch {
 public:
  Scratch() : a_(static_cast<uint16_t*>(AllocateStorage(kBytes))) {}
  ~Scratch() { FreeStorage(a_, kBytes); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  uint16_t* a() const { return a_; }           // packed rows of A
  uint16_t* b() const { return a_ + kSizeA; }  // a packed panel of B
  // Of a block of C, or of one before it, kSums at a time: [kSide, kSide].
  float* sums(size_t which) const {
    return reinterpret_cast<float*>(b() + kSizeB) + which * kSide * kSide;
  }

 private:
  static constexpr size_t kSizeA = 3 * kRows * kMaxDepth, kSizeB = 3 * kSide * kMaxDepth;
  static constexpr size_t kBytes =
      (kSizeA + kSizeB) * sizeof(uint16_t) + kSums * kSide * kSide * sizeof(float);
  uint16_t* const a_;
};

// As many as products ever ran at once, whatever threads they ran on.
class ScratchPool {
 public:
  std::unique_ptr<Scratch> Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto scratch = std::move(idle_.back());
        idle_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<Scratch>();
  }
  void Give(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;
};

// A 16 x 16 block, transposed.
STRUPRUNE_AMX inline void Transpose(__m512 block[kTile]) {
  __m512i rows[kTile], t[kTile];
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_castps_si512(block[i]);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    block[i] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    block[i + 8] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    block[i + 4] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
    block[i + 12] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
  }
}

// One tile of every part: `lines` (rows of C, or columns) by `depth` of k. A pair is k and k + 16.
// Rows of the first operand's tile are lines, of the second's pairs; a source has either k or lines
// in its rows and is transposed where the tile has the other.
template <int kParts, bool kDeepRows, bool kSecond>
STRUPRUNE_AMX inline void PackTile(const float* from, size_t ld, size_t lines, size_t depth,
                                   uint16_t* to) {
  // Row i of the source: 16 lines of k and of k + 16, or a line's 16 k and the next 16.
  const __mmask16 all_lines = Mask(lines), first = Mask(depth),
                  rest = depth > kTile ? Mask(depth - kTile) : __mmask16(0);
  const auto load = [&](size_t i, __m512& low, __m512& high) STRUPRUNE_AMX {
    const float* row = from + i * ld;
    if constexpr (kDeepRows) {
      const bool here = i < lines;
      low = _mm512_maskz_loadu_ps(here ? first : 0, row);
      high = _mm512_maskz_loadu_ps(here ? rest : 0, row + kTile);
    } else {
      low = _mm512_maskz_loadu_ps(i < depth ? all_lines : 0, row);
      high = _mm512_maskz_loadu_ps(i + kTile < depth ? all_lines : 0, row + kTile * ld);
    }
  };
  if constexpr (kDeepRows == kSecond) {
    __m512 low[kTile], high[kTile];
    for (size_t i = 0; i < kTile; ++i) load(i, low[i], high[i]);
    Transpose(low);
    Transpose(high);
    for (size_t i = 0; i < kTile; ++i) Split<kParts>(low[i], high[i], to + i * kDepth);
  } else {
    for (size_t i = 0; i < kTile; ++i) {
      __m512 low, high;
      load(i, low, high);
      Split<kParts>(low, high, to + i * kDepth);
    }
  }
}

// A panel: up to 32 lines by `depth` of k -> for every 32 of k and every part, two tiles.
template <int kParts, bool kDeepRows, bool kSecond>
STRUPRUNE_AMX void PackPanel(const float* from, size_t ld, size_t lines, size_t depth,
                             uint16_t* to) {
  for (size_t l = 0; l < depth; l += kDepth, to += kParts * 2 * kTileSize) {
    if constexpr (!kDeepRows) {
      // Rows far apart, which the processor does not foresee.
      constexpr size_t kAhead = 128;
      for (size_t row = l + kAhead; row < std::min(l + kAhead + kDepth, depth); ++row) {
        _mm_prefetch(reinterpret_cast<const char*>(from + row * ld), _MM_HINT_T1);
        _mm_prefetch(reinterpret_cast<const char*>(from + row * ld + kTile), _MM_HINT_T1);
      }
    }
    for (size_t half = 0; half < 2; ++half) {
      const size_t line = half * kTile;
      const float* tile = kDeepRows ? from + line * ld + l : from + l * ld + line;
      PackTile<kParts, kDeepRows, kSecond>(tile, ld,
                                           lines > line ? std::min(kTile, lines - line) : 0,
                                           std::min(kDepth, depth - l), to + half * kTileSize);
    }
  }
}

// `count` tiles of one operand's kind as the same lines and k have them in the other's.
STRUPRUNE_AMX void TransposeTiles(size_t count, const uint16_t* from, uint16_t* to) {
  for (size_t tile = 0; tile < count; ++tile, from += kTileSize, to += kTileSize) {
    __m512 pairs[kTile];
    for (size_t i = 0; i < kTile; ++i) pairs[i] = _mm512_load_ps(from + i * kDepth);
    Transpose(pairs);
    for (size_t i = 0; i < kTile; ++i) _mm512_store_ps(to + i * kDepth, pairs[i]);
  }
}

using Pack = void (*)(const float* from, size_t ld, size_t lines, size_t depth, uint16_t* to);

template <int kParts>
Pack PackOf(bool deep_rows, bool second) {
  if (deep_rows) return second ? PackPanel<kParts, true, true> : PackPanel<kParts, true, false>;
  return second ? PackPanel<kParts, false, true> : PackPanel<kParts, false, false>;
}

// A block of C, at most 32 x 32, and the products that it is still to receive.
struct Block {
  float* sums;
  float* c;
  size_t ldc, rows, cols;
  float alpha, beta;
};

// c = alpha sums + beta c for the rows [first, last) of a block; beta 0 reads no c.
STRUPRUNE_AMX inline void Update(const Block& block, size_t first, size_t last) {
  const __m512 by = _mm512_set1_ps(block.alpha), keep = _mm512_set1_ps(block.beta);
  for (size_t i = first; i < last; ++i) {
    for (size_t j = 0; j < block.cols; j += 16) {
      const __mmask16 mask = Mask(block.cols - j);
      float* to = block.c + i * block.ldc + j;
      const __m512 sum = _mm512_load_ps(block.sums + i * kSide + j);
      const __m512 old = block.beta == 0 ? _mm512_setzero_ps()
                                         : _mm512_mul_ps(keep, _mm512_maskz_loadu_ps(mask, to));
      _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(by, sum, old));
    }
  }
}

// Asks for the rows [first, last) of a block of C, which is far from the caches as a rule: waiting
// for it in Update takes a fifth of a product's time.
STRUPRUNE_AMX inline void Fetch(const float* c, size_t ldc, size_t cols, size_t first,
                                size_t last) {
  for (size_t i = first; i < last; ++i) {
    const float* row = c + i * ldc;
    __builtin_prefetch(row, 1);
    if (cols > kTile) __builtin_prefetch(row + kTile, 1);
  }
}

// The same block of every product of a unit and, of two, where their join goes.
template <size_t kCount>
struct Unit {
  Block blocks[kCount] = {};
};
template <>
struct Unit<2> {
  Block blocks[2] = {};
  size_t column = 0;
  float* out = nullptr;
};

template <size_t kCount>
STRUPRUNE_AMX inline void Fetch(const Unit<kCount>& unit, const AmxJoin* join, size_t first,
                                size_t last) {
  const size_t cols = unit.blocks[0].cols;
  if constexpr (kCount == 2) Fetch(unit.out, join->ld, cols, first, last);
  for (const Block& block : unit.blocks) {
    if (kCount == 1 || block.beta != 0) Fetch(block.c, block.ldc, cols, first, last);
  }
}

STRUPRUNE_AMX inline void Finish(const Unit<1>& unit, const AmxJoin*, size_t first, size_t last) {
  Update(unit.blocks[0], first, last);
}

STRUPRUNE_AMX inline void Finish(const Unit<2>& unit, const AmxJoin* join, size_t first,
                                 size_t last) {
  const size_t cols = unit.blocks[0].cols;
  for (size_t i = first; i < last; ++i) {
    for (const Block& block : unit.blocks) {
      float* const sums = block.sums + i * kSide;
      const float* const old = block.c + i * block.ldc;
      for (size_t j = 0; j < cols && block.beta != 0; ++j) sums[j] += old[j];
    }
    join->apply(join->state, unit.column, cols, unit.blocks[0].sums + i * kSide,
                unit.blocks[1].sums + i * kSide, unit.out + i * join->ld);
  }
}

// Of both operands.
struct Panels {
  const uint16_t *a, *b;
  bool operator==(const Panels&) const = default;
};

// How the products of two packed panels are summed: to[kSide, kSide].
template <int kNumber>
struct Tiles {
  static constexpr int kParts = kNumber;
  STRUPRUNE_AMX static void Begin() { LoadTileConfig(); }
  STRUPRUNE_AMX static void End() { _tile_release(); }
  STRUPRUNE_AMX static void LoadFirst(const Panels& at) { amx::LoadFirst<kParts>(at.a, at.b); }
  // Of panels whose first tiles are loaded; meanwhile(step) is done between the products.
  template <typename Meanwhile>
  STRUPRUNE_AMX static void Sum(size_t steps, const Panels& at, const Panels& next, float* to,
                                Meanwhile meanwhile) {
    SumProducts<kParts>(steps, at.a, at.b, next.a, next.b, meanwhile);
    StoreSums(to, kSide);
  }
};

// In vector registers, where there are no tiles. Only what is rounded once is faster so than in
// full floats: the registers multiply twice as many bf16.
struct Vectors {
  static constexpr int kParts = 1;
  static void Begin() {}
  static void End() {}
  static void LoadFirst(const Panels&) {}
  template <typename Meanwhile>
  STRUPRUNE_AMX static void Sum(size_t steps, const Panels& at, const Panels&, float* to,
                                Meanwhile meanwhile) {
    for (size_t step = 0; step < steps; ++step) meanwhile(step);
    for (size_t row = 0; row < kSide; row += kRows) SumRows(steps, at, row, to + row * kSide);
  }

 private:
  // Rows of which all sums are in registers: enough for none to be waited for.
  static constexpr size_t kRows = 8;

  STRUPRUNE_AMX static void SumRows(size_t steps, const Panels& at, size_t row, float* to) {
    __m512 left[kRows], right[kRows];
    for (size_t i = 0; i < kRows; ++i) left[i] = right[i] = _mm512_setzero_ps();
    const uint16_t* a = at.a + row * kDepth;
    const uint16_t* b = at.b;
    for (size_t step = 0; step < steps; ++step, a += 2 * kTileSize, b += 2 * kTileSize) {
#pragma GCC unroll 4
      for (size_t pair = 0; pair < kDepth / 2; ++pair) {
        const __m512bh b_left = Pairs(b + pair * kDepth),
                       b_right = Pairs(b + pair * kDepth + kTileSize);
#pragma GCC unroll 8
        for (size_t i = 0; i < kRows; ++i) {
          int both;
          std::memcpy(&both, a + i * kDepth + 2 * pair, sizeof(both));
          const __m512bh x = (__m512bh)_mm512_set1_epi32(both);
          left[i] = _mm512_dpbf16_ps(left[i], x, b_left);
          right[i] = _mm512_dpbf16_ps(right[i], x, b_right);
        }
      }
    }
    for (size_t i = 0; i < kRows; ++i) {
      _mm512_store_ps(to + i * kSide, left[i]);
      _mm512_store_ps(to + i * kSide + kTile, right[i]);
    }
  }

  STRUPRUNE_AMX static __m512bh Pairs(const uint16_t* from) {
    return (__m512bh)_mm512_load_si512(from);
  }
};

// The sums of a unit's product of two packed panels; meanwhile a share of the unit before is
// finished, whose sums the tiles would else be waited for.
template <typename Kernel, size_t kCount>
STRUPRUNE_AMX inline void MultiplyPanels(size_t steps, const Panels& at, const Panels& next,
                                         const Unit<kCount>& unit, size_t product,
                                         const Unit<kCount>& before, const AmxJoin* join) {
  // Rows of a unit that a step sees to.
  const auto share = [steps](size_t rows, size_t step) {
    const size_t each = (rows + kCount * steps - 1) / (kCount * steps);
    return std::pair(std::min(rows, step * each), std::min(rows, (step + 1) * each));
  };
  float* const sums = unit.blocks[product].sums;
  Kernel::Sum(steps, at, next, sums, [&](size_t step) STRUPRUNE_AMX {
    const auto [first, last] = share(before.blocks[0].rows, product * steps + step);
    Finish(before, join, first, last);
    const auto [first_row, last_row] = share(unit.blocks[0].rows, product * steps + step);
    Fetch(unit, join, first_row, last_row);
  });
}

struct Product {
  size_t m, k;
  float alpha;
  const AmxOperand& a;
  std::span<const AmxTerm> terms;
  float beta;
  const AmxJoin* join;  // null: terms receive products of their own
};

// What the k in [l, l + deep) add. kCount: products of a unit, 2 where they are joined.
template <typename Kernel, size_t kCount>
STRUPRUNE_AMX void RunDepth(const Product& product, size_t l, size_t deep, const Scratch& scratch) {
  constexpr int kParts = Kernel::kParts;
  const size_t m = product.m;
  const float alpha = product.alpha, beta = product.beta;
  const AmxOperand a = product.a;
  const std::span<const AmxTerm> terms = product.terms;
  const AmxJoin* const join = product.join;
  const Pack pack_a = PackOf<kParts>(!a.transposed, false);
  const size_t steps = (deep + kDepth - 1) / kDepth;
  const float keep = l == 0 ? beta : 1.0f;
  Unit<kCount> before;  // the last that was multiplied
  size_t which = 0;
  Panels loaded{};  // of which the first tiles are

  for (size_t i = 0; i < m; i += kRows) {
    const size_t rows = std::min(kRows, m - i);
    const uint16_t* panel_a = a.packed ? a.packed + AmxOffset(kParts, a.panel, i, l) : scratch.a();
    const size_t next_a = a.packed ? a.panel : kParts * kSide * Whole(deep, kDepth);
    if (!a.packed) loaded = {};
    for (size_t r = 0; r < rows && !a.packed; r += kSide) {
      const float* from = a.transposed ? a.data + l * a.ld + i + r : a.data + (i + r) * a.ld + l;
      pack_a(from, a.ld, std::min(kSide, rows - r), deep, scratch.a() + r / kSide * next_a);
    }
    size_t column = 0;  // that the terms begin at in a join
    for (size_t t = 0; t < terms.size(); column += terms[t].n, t += kCount) {
      const AmxTerm* const own = &terms[t];
      const AmxOperand& b = own[0].b;
      const size_t n = own[0].n;
      // Of a column of blocks, within these rows.
      const auto first_row = [&](size_t j) {
        return own[0].lower && j > i ? std::min(rows, j - i) : 0;
      };
      for (size_t j = 0; j < n; j += kSide) {
        if (first_row(j) == rows) break;
        const size_t cols = std::min(kSide, n - j);
        const uint16_t* panel_b[kCount] = {scratch.b()};
        if (b.packed) {
          for (size_t p = 0; p < kCount; ++p) {
            panel_b[p] = own[p].b.packed + AmxOffset(kParts, own[p].b.panel, j, l);
          }
        } else {
          loaded = {};
          const Pack pack_b = PackOf<kParts>(b.transposed, true);
          pack_b(b.transposed ? b.data + j * b.ld + l : b.data + l * b.ld + j, b.ld, cols, deep,
                 scratch.b());
        }
        for (size_t r = first_row(j); r < rows; r += kSide) {
          Unit<kCount> unit;
          if constexpr (kCount == 2) {
            unit.column = column + j;
            unit.out = join->out + (i + r) * join->ld + unit.column;
          }
          which ^= 1;
          for (size_t p = 0; p < kCount; ++p) {
            unit.blocks[p] = {.sums = scratch.sums(which * kCount + p),
                              .c = own[p].c + (i + r) * own[p].ldc + j,
                              .ldc = own[p].ldc,
                              .rows = std::min(kSide, rows - r),
                              .cols = cols,
                              .alpha = alpha,
                              .beta = keep};
          }
          for (size_t p = 0; p < kCount; ++p) {
            const Panels at{panel_a + r / kSide * next_a, panel_b[p]};
            if (at != loaded) Kernel::LoadFirst(at);
            // What comes next, unless it is still to be packed.
            loaded = at;
            if (p + 1 < kCount) {
              loaded.b = panel_b[p + 1];
            } else if (r + kSide < rows) {
              loaded = {at.a + next_a, panel_b[0]};
            } else if (b.packed && j + kSide < n && first_row(j + kSide) < rows) {
              loaded = {panel_a + first_row(j + kSide) / kSide * next_a, panel_b[0] + b.panel};
            }
            MultiplyPanels<Kernel>(steps, at, loaded, unit, p, before, join);
          }
          before = unit;
        }
      }
    }
  }
  Finish(before, join, 0, before.blocks[0].rows);
}

template <typename Kernel>
STRUPRUNE_AMX void Run(const Product& product, const Scratch& scratch) {
  // Panels of equal depth, by k alone: what an element's sum is must not depend on m and n.
  const size_t k = product.k, panels = (k + kMaxDepth - 1) / kMaxDepth;
  const size_t depth = Whole((k + panels - 1) / panels, kDepth);
  Kernel::Begin();
  for (size_t l = 0; l < k; l += depth) {
    const size_t deep = std::min(depth, k - l);
    // Products are joined once they are whole.
    const bool joined = product.join && l + deep == k;
    (joined ? RunDepth<Kernel, 2> : RunDepth<Kernel, 1>)(product, l, deep, scratch);
  }
  Kernel::End();
}

void RunWithScratch(size_t parts, const Product& product) {
  static ScratchPool& pool = *new ScratchPool;  // threads may outlive what is static
  const auto run = !HasAmx()    ? Run<Vectors>
                   : parts == 1 ? Run<Tiles<1>>
                   : parts == 2 ? Run<Tiles<2>>
                                : Run<Tiles<3>>;
  std::unique_ptr<Scratch> scratch = pool.Take();
  run(product, *scratch);
  pool.Give(std::move(scratch));
}

}  // namespace

bool HasAmx() {
  static const bool has = os::HostCpu().amx_bf16 && os::HostCpu().avx512_bf16 && os::AskForTiles();
  return has;
}

bool HasBf16Vectors() { return os::HostCpu().avx512_bf16; }

size_t AmxPackedSize(size_t parts, size_t lines, size_t depth) {
  return parts * Whole(lines, kSide) * Whole(depth, kDepth);
}

size_t AmxPanelSize(size_t parts, size_t depth) { return AmxPackedSize(parts, kSide, depth); }

void AmxPack(size_t parts, bool second, bool deep_rows, const float* from, size_t ld, size_t lines,
             size_t depth, uint16_t* to, uint16_t* other) {
  const auto pack = parts == 1   ? PackOf<1>(deep_rows, second)
                    : parts == 2 ? PackOf<2>(deep_rows, second)
                                 : PackOf<3>(deep_rows, second);
  const size_t panel = AmxPanelSize(parts, depth);
  // Along the source's rows.
  const size_t deep = deep_rows ? depth : kDepth;
  for (size_t k = 0; k < depth; k += deep) {
    for (size_t line = 0; line < lines; line += kSide) {
      const size_t at = AmxOffset(parts, panel, line, k), here = std::min(deep, depth - k);
      pack(deep_rows ? from + line * ld + k : from + k * ld + line, ld,
           std::min(kSide, lines - line), here, to + at);
      if (other) TransposeTiles(AmxPanelSize(parts, here) / kTileSize, to + at, other + at);
    }
  }
}

void AmxGemm(size_t parts, size_t m, size_t k, float alpha, const AmxOperand& a,
             std::span<const AmxTerm> terms, float beta) {
  RunWithScratch(parts, {m, k, alpha, a, terms, beta, nullptr});
}

void AmxGemmJoined(size_t parts, size_t m, size_t k, const AmxOperand& a,
                   std::span<const AmxTerm> pairs, const AmxJoin& join) {
  RunWithScratch(parts, {m, k, 1, a, pairs, 0, &join});
}

#else

bool HasAmx() { return false; }
bool HasBf16Vectors() { return false; }
size_t AmxPackedSize(size_t, size_t, size_t) { return 0; }
size_t AmxPanelSize(size_t, size_t) { return 0; }
void AmxPack(size_t, bool, bool, const float*, size_t, size_t, size_t, uint16_t*, uint16_t*) {}
void AmxGemm(size_t, size_t, size_t, float, const AmxOperand&, std::span<const AmxTerm>, float) {}
void AmxGemmJoined(size_t, size_t, size_t, const AmxOperand&, std::span<const AmxTerm>,
                   const AmxJoin&) {}

#endif

}  // namespace struprune
