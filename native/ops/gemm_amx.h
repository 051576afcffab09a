// Float products in AMX tiles, or in vector registers of bf16 where the processor has no tiles, on
// the calling thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace struprune {

// Whether the processor has the tiles and the system lends them to this process; asked once.
bool HasAmx();
// Whether it multiplies bf16 in vector registers (AVX512_BF16), as the tiles do for one part.
bool HasBf16Vectors();

// Lines (rows of op(A), columns of op(B)) of a packed panel.
inline constexpr size_t kAmxLines = 32;

// An operand as it lies in a matrix, or as AmxPack left it.
struct AmxOperand {
  const float* data = nullptr;
  size_t ld = 0;
  bool transposed = false;
  const uint16_t* packed = nullptr;  // null: `data` counts
  size_t panel = 0;                  // from a panel to the next
};

// A second operand and what its product is added to. `lower`: of a square C, the elements up to the
// diagonal count, and what is above it is made or left.
struct AmxTerm {
  AmxOperand b;
  size_t n;
  float* c;
  size_t ldc;
  bool lower = false;
};

// What becomes of pairs of products of one A: out[m, n of the pairs side by side], rows `ld` apart.
// A part of a row is made by apply(state, column, count, first, second, out), which may use both
// products as scratch.
struct AmxJoin {
  using Apply = void (*)(const void* state, size_t column, size_t count, float* first,
                         float* second, float* out);
  Apply apply;
  const void* state;
  float* out;
  size_t ld;
};

// C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C of every term, row-major, ld = row stride
// in elements. Operands are sums of 1, 2 or 3 `parts` of bf16, whose largest products are summed in
// f32:
//   3: exact, of whose nine products the six largest; what is left out is below 2^-23 of Σ|a||b|.
//      Measured on normal numbers the error is two thirds of sgemm's.
//   2: rounded to 16 bits of a float's 24, below 2^-17, with three products (BF16x3); what is lost
//      is below 2^-15 of Σ|a||b|.
//   1: rounded to bf16.
// An element of C has the same bits whatever m and n, and whether operands come packed.
// Both take what is below 2^-126 for zero: parts, products and sums, so that products below
// 2^-102 lose digits. Operands from 0x1.ffp127 on round to infinity; that, or an infinite one,
// makes NaN of several parts and infinity of one, and results as large may overflow.
// Buffers of 1.3 MiB for each product that runs at a time are kept. Needs HasAmx(), or
// HasBf16Vectors() of one part, and k > 0.
void AmxGemm(size_t parts, size_t m, size_t k, float alpha, const AmxOperand& a,
             std::span<const AmxTerm> terms, float beta);
// op(A) op(B) of pairs of terms, packed and of one n each, given on as soon as their last sum is
// made. Their C hold what is summed of a deep k until then, and nothing of use after it.
void AmxGemmJoined(size_t parts, size_t m, size_t k, const AmxOperand& a,
                   std::span<const AmxTerm> pairs, const AmxJoin& join);

// An operand's lines by depth (k) as the tiles read it: whole panels of kAmxLines lines, each
// AmxPanelSize long and aligned to 64 bytes. `second`: op(B). `deep_rows`: a row of `from` is a
// line, else a k. `other` (may be null) receives the same lines as those of the other operand.
void AmxPack(size_t parts, bool second, bool deep_rows, const float* from, size_t ld, size_t lines,
             size_t depth, uint16_t* to, uint16_t* other = nullptr);
size_t AmxPackedSize(size_t parts, size_t lines, size_t depth);
// Where a line and a k are in it, both multiples of kAmxLines.
inline size_t AmxOffset(size_t parts, size_t panel, size_t line, size_t k) {
  return line / kAmxLines * panel + k * parts * kAmxLines;
}
size_t AmxPanelSize(size_t parts, size_t depth);

}  // namespace struprune
