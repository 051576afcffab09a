// Attention in AMX tiles, on the calling thread, for a path whose operands have `parts`
// (ops/gemm_amx.h). Exponentials are within 2e-7 of their value.
#pragma once

#include <cstddef>

#include "ops/attention_shape.h"

namespace struprune {

// AttendTile. The same bits whether keys and values come packed or not.
void AmxAttendTile(size_t parts, const AttentionShape& shape, size_t head, size_t first,
                   size_t count, const float* q, const float* k, const float* v,
                   const PackedHead* packed, float* out, float* log_sum, AttentionScratch& scratch);

// AttendBackward.
void AmxAttendBackward(size_t parts, const AttentionShape& shape, size_t kv_head, const float* q,
                       const float* k, const float* v, const float* out, const float* log_sum,
                       const float* grad_out, float* grad_q, float* grad_k, float* grad_v,
                       AttentionScratch& scratch);

}  // namespace struprune
