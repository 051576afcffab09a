// How the rows of a page are shared out over the pool.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/context.h"

namespace struprune {

// Most rows of a page that one task handles: the more, the fewer times a weight is packed. Tasks
// begin at multiples of kLeastChunk: OpenBLAS's kernels take 24 rows at a time with AVX2 and 64
// with AVX-512, and round those that are left over otherwise. So what a row comes to does not
// depend on the number of threads.
inline constexpr size_t kLeastChunk = 192;
inline constexpr size_t kChunk = 2 * kLeastChunk;

// Rows of a task: kChunk, and fewer where that leaves a worker with less than `tasks` of them.
inline size_t ChunkRows(const Context& context, size_t rows, size_t tasks = 2) {
  const size_t parts = tasks * context.pool.size();
  const size_t share = (rows + parts - 1) / parts;
  return std::clamp((share + kLeastChunk - 1) / kLeastChunk * kLeastChunk, kLeastChunk, kChunk);
}

// Rows that all workers have in hand at a time, at most.
inline size_t WorkerRows(const Context& context, size_t rows, size_t tasks = 2) {
  return context.pool.size() * ChunkRows(context, rows, tasks);
}

inline size_t ChunkCount(const Context& context, size_t rows, size_t tasks = 2) {
  const size_t chunk = ChunkRows(context, rows, tasks);
  return (rows + chunk - 1) / chunk;
}

// Splits rows over the pool: fn(first, count, worker).
template <typename Fn>
void ForChunks(Context& context, size_t rows, Fn&& fn, size_t tasks = 2) {
  const size_t chunk = ChunkRows(context, rows, tasks);
  context.pool.ParallelFor(ChunkCount(context, rows, tasks), [&](size_t task, size_t worker) {
    context.CheckAbort();
    fn(task * chunk, std::min(chunk, rows - task * chunk), worker);
  });
}

}  // namespace struprune
