// Float products by oneDNN v3, on the calling thread alone. Built only with STRUPRUNE_ONEDNN.
#pragma once

#include <cstddef>

namespace struprune {

// C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C, row-major, ld = row stride in elements;
// with `bf16` the operands are first rounded to bf16 (nearest even), and kept so in 2 (mk + kn)
// bytes a thread outside the memory budget. Throws ERR_INTERNAL when oneDNN refuses.
void OneDnnGemm(bool bf16, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                float alpha, const float* a, size_t lda, const float* b, size_t ldb, float beta,
                float* c, size_t ldc);

}  // namespace struprune
