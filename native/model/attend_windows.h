// Attention and its gradient over all windows of one flight, split over the pool.
#pragma once

#include <cstddef>
#include <vector>

#include "core/context.h"
#include "ops/attention.h"

namespace struprune {

// out[rows, heads * head_dim] from q (like out), k and v[rows, kv_heads * head_dim]; rows are whole
// windows. log_sum[rows / window, heads, window] may be null; scratch has one entry a worker.
void AttendWindows(Context& context, const AttentionShape& shape, size_t rows, const float* q,
                   const float* k, const float* v, float* out, float* log_sum,
                   std::vector<AttentionScratch>& scratch);

// Overwrites grad_q[rows, heads * head_dim], grad_k and grad_v[rows, kv_heads * head_dim].
void AttendWindowsBackward(Context& context, const AttentionShape& shape, size_t rows,
                           const float* q, const float* k, const float* v, const float* out,
                           const float* log_sum, const float* grad_out, float* grad_q,
                           float* grad_k, float* grad_v, std::vector<AttentionScratch>& scratch);

}  // namespace struprune
