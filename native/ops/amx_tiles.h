// AMX tiles of bf16 and how floats are split over them, for what fills tiles.
#pragma once

#include <cstddef>
#include <cstdint>

// The tile instructions came with GCC 11 and clang 12.
#if defined(__x86_64__) && defined(__linux__)
#define STRUPRUNE_HAS_AMX 1
// GCC 12 takes the registers that its own header leaves undefined for a mistake.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#ifdef STRUPRUNE_HAS_AMX
#define STRUPRUNE_AMX                                                           \
  __attribute__((                                                               \
      target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16," \
             "prfchw")))

namespace struprune::amx {

// A tile holds 16 rows of 32 bf16. The second operand's tiles are the first's with pairs of bf16
// transposed: row = pair of k, column = column of C.
constexpr size_t kTile = 16, kDepth = 32, kTileSize = kTile * kDepth;

// Rows and columns that one product of four tiles has.
constexpr size_t kSide = 2 * kTile;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// All eight tiles are whole: the edges of operands are packed with zeros. (Constant, because GCC's
// intrinsic does not tell that it reads more than a word.)
constexpr TileConfig kConfig = [] {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.row_bytes[tile] = 64;
    config.rows[tile] = kTile;
  }
  return config;
}();

STRUPRUNE_AMX inline void LoadTileConfig() { _tile_loadconfig(&kConfig); }

inline size_t Whole(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

// The first `count` of 16 lanes.
inline __mmask16 Mask(size_t count) {
  return count >= 16 ? __mmask16(0xffff) : static_cast<__mmask16>((1u << count) - 1);
}

// Pairs (low, high) rounded to the nearest bf16.
STRUPRUNE_AMX inline __m512i Nearest(__m512 low, __m512 high) {
  const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(pairs, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

// A tile's row of pairs (low, high) of every part, kTileSize * 2 apart. The first of several is the
// nearest, by adding half a unit to the magnitude. Of what it leaves, the second of two is the
// nearest; the second of three takes the upper 8 bits and the third, exactly, the rest.
template <int kParts>
STRUPRUNE_AMX inline void Split(__m512 low, __m512 high, uint16_t* to) {
  const __m512i half = _mm512_set1_epi32(0x8000), upper = _mm512_set1_epi32(-0x10000);
  for (int part = 0; part < kParts; ++part, to += 2 * kTileSize) {
    if (kParts < 3 && part == kParts - 1) {
      _mm512_store_si512(to, Nearest(low, high));
      return;
    }
    __m512i l = _mm512_castps_si512(low), h = _mm512_castps_si512(high);
    if (part == 0) {
      l = _mm512_add_epi32(l, half);
      h = _mm512_add_epi32(h, half);
    }
    h = _mm512_and_si512(h, upper);
    _mm512_store_si512(to, _mm512_or_si512(_mm512_srli_epi32(l, 16), h));
    low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_and_si512(l, upper)));
    high = _mm512_sub_ps(high, _mm512_castsi512_ps(h));
  }
}

// Tiles 0 to 3 sum; 4, 5 hold part x of the first operand, 6, 7 part y of the second, each replaced
// as soon as it has been used for the last time. (The intrinsics take digits alone for tiles.)
#define PART(panel, part, half) panel + (2 * (part) + half) * kTileSize
#define LOAD(x, y)                   \
  _tile_loadd(4, PART(a, x, 0), 64); \
  _tile_loadd(6, PART(b, y, 0), 64); \
  _tile_loadd(5, PART(a, x, 1), 64); \
  _tile_loadd(7, PART(b, y, 1), 64)
// All four products, while the next part of A, of B or of both is on its way.
#define THEN_A(x)                    \
  _tile_dpbf16ps(0, 4, 6);           \
  _tile_dpbf16ps(1, 4, 7);           \
  _tile_loadd(4, PART(a, x, 0), 64); \
  _tile_dpbf16ps(2, 5, 6);           \
  _tile_dpbf16ps(3, 5, 7);           \
  _tile_loadd(5, PART(a, x, 1), 64)
#define THEN_B(y)                    \
  _tile_dpbf16ps(0, 4, 6);           \
  _tile_dpbf16ps(2, 5, 6);           \
  _tile_loadd(6, PART(b, y, 0), 64); \
  _tile_dpbf16ps(1, 4, 7);           \
  _tile_dpbf16ps(3, 5, 7);           \
  _tile_loadd(7, PART(b, y, 1), 64)
#define THEN_BOTH(x, y)              \
  _tile_dpbf16ps(0, 4, 6);           \
  _tile_dpbf16ps(1, 4, 7);           \
  _tile_loadd(4, PART(a, x, 0), 64); \
  _tile_dpbf16ps(2, 5, 6);           \
  _tile_loadd(6, PART(b, y, 0), 64); \
  _tile_dpbf16ps(3, 5, 7);           \
  _tile_loadd(5, PART(a, x, 1), 64); \
  _tile_loadd(7, PART(b, y, 1), 64)

// What AddProducts must find in the tiles: the first of both panels.
template <int kParts>
STRUPRUNE_AMX inline void LoadFirst(const uint16_t* a, const uint16_t* b) {
  // GCC's loads do not say that they read what was packed.
  __asm__ volatile("" ::: "memory");
  LOAD(kParts - 1, 0);
}

// Sums[32, 32], for AddProducts to add to: 0, or what is at `from`, rows `ld` apart.
STRUPRUNE_AMX inline void ClearSums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
STRUPRUNE_AMX inline void LoadSums(const float* from, size_t ld) {
  __asm__ volatile("" ::: "memory");
  _tile_loadd(0, from, 4 * ld);
  _tile_loadd(1, from + kTile, 4 * ld);
  _tile_loadd(2, from + kTile * ld, 4 * ld);
  _tile_loadd(3, from + kTile * ld + kTile, 4 * ld);
}

// Sums += products of two packed panels of so many steps of kDepth; meanwhile(step) is done before
// each. Leaves the first tiles of the next two panels, for which a product would wait else, or of
// any.
template <int kParts, typename Meanwhile>
STRUPRUNE_AMX inline void AddProducts(size_t steps, const uint16_t* a, const uint16_t* b,
                                      const uint16_t* next_a, const uint16_t* next_b,
                                      Meanwhile meanwhile) {
  static_assert(kParts >= 1 && kParts <= 3);
  constexpr size_t kStep = kParts * 2 * kTileSize;
  __asm__ volatile("" ::: "memory");
  for (size_t step = 0; step < steps; ++step) {
    meanwhile(step);
    const bool last = step + 1 == steps;
    const uint16_t* const then_a = last ? next_a : a + kStep;
    const uint16_t* const then_b = last ? next_b : b + kStep;
    if constexpr (kParts == 2) {
      THEN_A(0);
      THEN_B(1);
    } else if constexpr (kParts == 3) {
      // The largest product comes last.
      THEN_A(1);
      THEN_B(1);
      THEN_A(0);
      THEN_B(2);
      THEN_B(0);
    }
    a = then_a;
    b = then_b;
    THEN_BOTH(kParts - 1, 0);
  }
}
#undef PART
#undef LOAD
#undef THEN_A
#undef THEN_B
#undef THEN_BOTH

// The same of sums that start at 0.
template <int kParts, typename Meanwhile>
STRUPRUNE_AMX inline void SumProducts(size_t steps, const uint16_t* a, const uint16_t* b,
                                      const uint16_t* next_a, const uint16_t* next_b,
                                      Meanwhile meanwhile) {
  ClearSums();
  AddProducts<kParts>(steps, a, b, next_a, next_b, meanwhile);
}

// to[32, 32], rows `ld` apart = tiles 0 to 3.
STRUPRUNE_AMX inline void StoreSums(float* to, size_t ld) {
  _tile_stored(0, to, 4 * ld);
  _tile_stored(1, to + kTile, 4 * ld);
  _tile_stored(2, to + kTile * ld, 4 * ld);
  _tile_stored(3, to + kTile * ld + kTile, 4 * ld);
  __asm__ volatile("" ::: "memory");
}

}  // namespace struprune::amx

#endif
