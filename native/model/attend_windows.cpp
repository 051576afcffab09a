#include "model/attend_windows.h"

#include <algorithm>

namespace struprune {

void AttendWindows(Context& context, const AttentionShape& shape, size_t rows, const float* q,
                   const float* k, const float* v, float* out, float* log_sum,
                   std::vector<AttentionScratch>& scratch) {
  const size_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  const size_t tiles = (shape.window + kQueryTile - 1) / kQueryTile;
  context.pool.ParallelFor(rows / shape.window * shape.heads * tiles, [&](size_t task,
                                                                          size_t worker) {
    context.CheckAbort();
    // Late tiles see the most keys: hand them out first.
    const size_t first = (tiles - 1 - task % tiles) * kQueryTile;
    const size_t head = task / tiles % shape.heads;
    const size_t row = task / tiles / shape.heads * shape.window;
    float* sums = log_sum ? log_sum + row * shape.heads + head * shape.window + first : nullptr;
    AttendTile(shape, head, first, std::min(kQueryTile, shape.window - first), q + row * width,
               k + row * kv_width, v + row * kv_width, out + row * width, sums, scratch[worker]);
  });
}

void AttendWindowsBackward(Context& context, const AttentionShape& shape, size_t rows,
                           const float* q, const float* k, const float* v, const float* out,
                           const float* log_sum, const float* grad_out, float* grad_q,
                           float* grad_k, float* grad_v, std::vector<AttentionScratch>& scratch) {
  const size_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  context.pool.ParallelFor(rows / shape.window * shape.kv_heads, [&](size_t task, size_t worker) {
    context.CheckAbort();
    const size_t row = task / shape.kv_heads * shape.window;
    AttendBackward(shape, task % shape.kv_heads, q + row * width, k + row * kv_width,
                   v + row * kv_width, out + row * width, log_sum + row * shape.heads,
                   grad_out + row * width, grad_q + row * width, grad_k + row * kv_width,
                   grad_v + row * kv_width, scratch[worker]);
  });
}

}  // namespace struprune
