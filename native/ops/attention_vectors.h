// What attention's kernels in AMX tiles share: exponentials, keys that a query sees, scratch.
#pragma once

#include <array>
#include <cstddef>

#include "ops/amx_tiles.h"
#include "ops/attention_shape.h"
#include "ops/visible.h"

#ifdef STRUPRUNE_HAS_AMX

namespace struprune::amx {

constexpr float kLog2E = 1.44269504088896341f;

// Keys at a time, and floats between two rows of their scores.
constexpr size_t kKeys = kKeyTile, kStride = kScoreStride;
static_assert(kKeys % kSide == 0);

// 2^t for t up to about 0, 0 below 2^-126. 2^f with |f| <= 1/2 by the polynomial of degree 5 with
// the least largest relative error, 7.5e-8 (Remez).
STRUPRUNE_AMX inline __m512 PowerOfTwo(__m512 t) {
  // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
  const __m512 shift = _mm512_set1_ps(12582912.0f);
  const __m512 whole = _mm512_sub_ps(_mm512_add_ps(t, shift), shift);
  const __m512 f = _mm512_sub_ps(t, whole);
  __m512 p = _mm512_set1_ps(0.001327647263f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.009675541343f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.05550713272f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.2402211972f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931469671f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.000000072f));
  const __mmask16 normal = _mm512_cmp_ps_mask(t, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);  // or NaN
  return _mm512_maskz_scalef_ps(normal, p, whole);
}

// Those of the 16 keys from `key` on that are seen.
inline __mmask16 LanesSeen(const Visible& seen, size_t key) {
  const __mmask16 below = seen.end > key ? Mask(seen.end - key) : __mmask16(0);
  return seen.begin > key ? static_cast<__mmask16>(below & ~Mask(seen.begin - key)) : below;
}

// Where parts of a thread's scratch start that have so many bytes, each on a line of its own. What
// was there is lost.
template <size_t kCount>
std::array<std::byte*, kCount> Divide(AttentionScratch& scratch,
                                      const std::array<size_t, kCount>& bytes) {
  constexpr size_t kLine = sizeof(AttentionScratch::Line);
  size_t lines = 0;
  for (const size_t size : bytes) lines += Whole(size, kLine) / kLine;
  if (scratch.lines.size() < lines) {
    scratch.lines = {};
    scratch.lines.resize(lines);
  }
  std::array<std::byte*, kCount> parts;
  std::byte* at = scratch.lines.front().bytes;
  for (size_t i = 0; i < kCount; at += Whole(bytes[i++], kLine)) parts[i] = at;
  return parts;
}

}  // namespace struprune::amx

#endif
