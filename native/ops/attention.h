// Causal attention over whole windows, by tiles of keys with a running softmax: no S×S matrix.
#pragma once

#include <cstddef>

#include "ops/attention_shape.h"

namespace struprune {

// One head of one sequence, queries [first, first + count).
// q[window, heads*head_dim], k and v[window, kv_heads*head_dim] start at the sequence; out is like
// q. `packed` (may be null) is read in place of k and v. log_sum[count] (may be null) receives log
// Σ exp(scores) of every query, its sink among them, for the backward pass.
void AttendTile(const AttentionShape& shape, size_t head, size_t first, size_t count,
                const float* q, const float* k, const float* v, const PackedHead* packed,
                float* out, float* log_sum, AttentionScratch& scratch);

// Gradients of one kv head of one sequence with all its query heads: grad_q of those heads is
// overwritten, grad_k and grad_v of the kv head are overwritten.
// out and grad_out are like q; log_sum[heads, window] from the forward pass.
void AttendBackward(const AttentionShape& shape, size_t kv_head, const float* q, const float* k,
                    const float* v, const float* out, const float* log_sum, const float* grad_out,
                    float* grad_q, float* grad_k, float* grad_v, AttentionScratch& scratch);

}  // namespace struprune
