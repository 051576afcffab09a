// Float products in AMX tiles, on the calling thread.
#pragma once

#include <cstddef>

namespace struprune {

// Whether the processor has the tiles and the system lends them to this process; asked once.
bool HasAmx();

// C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C, row-major, ld = row stride in elements.
// With `bf16` the operands are rounded to it. Otherwise each is the exact sum of three bf16 parts,
// of whose nine products the six largest are summed in f32: what is left out is below 2^-23 of
// Σ|a||b|. Measured on normal numbers the error is two thirds of sgemm's. An element of C has the
// same bits whatever m and n.
// The tiles take what is below 2^-126 for zero: parts, products and sums, so that products below
// 2^-102 lose digits. Operands from 0x1.ffp127 on round to infinity; that, or an infinite one,
// makes NaN of the three parts and infinity of bf16, and results as large may overflow.
// Buffers of 1.3 MiB for each product that runs at a time are kept. Needs HasAmx().
void AmxGemm(bool bf16, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
             float alpha, const float* a, size_t lda, const float* b, size_t ldb, float beta,
             float* c, size_t ldc);

}  // namespace struprune
