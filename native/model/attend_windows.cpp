#include "model/attend_windows.h"

#include <algorithm>
#include <optional>

namespace struprune {

namespace {

// Keys and values of all heads, which every query tile of a head multiplies by. Attention with caps
// or sinks takes none (ops/attention.cpp).
class PackedHeads {
 public:
  PackedHeads(Context& context, const AttentionShape& shape, size_t rows, const float* k,
              const float* v) {
    const size_t hd = shape.head_dim, stride = shape.kv_heads * hd;
    if (!shape.plain() || shape.window % PackedOperand::kAlignment != 0) return;
    for (size_t head = 0; head < shape.kv_heads; ++head) {
      keys_.emplace_back(context, OperandSide::kB, rows, hd);
      values_.emplace_back(context, OperandSide::kB, hd, rows);
      if (!keys_.back().empty() && !values_.back().empty()) continue;
      keys_.clear();
      values_.clear();
      return;
    }
    context.pool.ParallelFor(2 * shape.kv_heads, [&](size_t task, size_t) {
      const size_t head = task / 2;
      if (task % 2 == 0) {
        keys_[head].Fill(Trans::kYes, k + head * hd, stride);
      } else {
        values_[head].Fill(Trans::kNo, v + head * hd, stride);
      }
    });
  }

  std::optional<PackedHead> At(size_t kv_head, size_t row) const {
    if (keys_.empty()) return std::nullopt;
    return PackedHead{keys_[kv_head], values_[kv_head], row};
  }

 private:
  std::vector<PackedOperand> keys_, values_;  // none: not packed
};

}  // namespace

void AttendWindows(Context& context, const AttentionShape& shape, size_t rows, const float* q,
                   const float* k, const float* v, float* out, float* log_sum,
                   std::vector<AttentionScratch>& scratch) {
  const size_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  const size_t tiles = (shape.window + kQueryTile - 1) / kQueryTile;
  const PackedHeads heads(context, shape, rows, k, v);
  context.pool.ParallelFor(
      rows / shape.window * shape.heads * tiles, [&](size_t task, size_t worker) {
        context.CheckAbort();
        // Late tiles see the most keys: hand them out first.
        const size_t first = (tiles - 1 - task % tiles) * kQueryTile;
        const size_t head = task / tiles % shape.heads;
        const size_t row = task / tiles / shape.heads * shape.window;
        float* sums = log_sum ? log_sum + row * shape.heads + head * shape.window + first : nullptr;
        const auto packed = heads.At(head / (shape.heads / shape.kv_heads), row);
        AttendTile(shape, head, first, std::min(kQueryTile, shape.window - first), q + row * width,
                   k + row * kv_width, v + row * kv_width, packed ? &*packed : nullptr,
                   out + row * width, sums, scratch[worker]);
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
