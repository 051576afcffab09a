// Float products in AMX tiles, on the calling thread.
#pragma once

#include <cstddef>

namespace struprune {

// Whether the processor has the tiles and the system lends them to this process; asked once.
bool HasAmx();

// C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C, row-major, ld = row stride in elements.
// Operands are sums of 1, 2 or 3 `parts` of bf16, whose largest products are summed in f32:
//   3: exact, of whose nine products the six largest; what is left out is below 2^-23 of Σ|a||b|.
//      Measured on normal numbers the error is two thirds of sgemm's.
//   2: rounded to 16 bits of a float's 24, below 2^-17, with three products (BF16x3); what is lost
//      is below 2^-15 of Σ|a||b|.
//   1: rounded to bf16.
// An element of C has the same bits whatever m and n.
// The tiles take what is below 2^-126 for zero: parts, products and sums, so that products below
// 2^-102 lose digits. Operands from 0x1.ffp127 on round to infinity; that, or an infinite one,
// makes NaN of several parts and infinity of one, and results as large may overflow.
// Buffers of 1.3 MiB for each product that runs at a time are kept. Needs HasAmx().
void AmxGemm(size_t parts, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
             float alpha, const float* a, size_t lda, const float* b, size_t ldb, float beta,
             float* c, size_t ldc);

}  // namespace struprune
