// How the rows of a page are shared out over the pool.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/context.h"

namespace struprune {

inline size_t InSteps(const Context& context, size_t rows) {
  return (rows + context.row_step - 1) / context.row_step * context.row_step;
}

// Most rows of a page that one task handles: the more, the fewer times a weight is packed.
inline size_t MostChunk(const Context& context) {
  return 512 / context.row_step * context.row_step;
}

// Rows of a task: MostChunk, and fewer where that leaves a worker with less than `tasks` of them.
inline size_t ChunkRows(const Context& context, size_t rows, size_t tasks = 2) {
  const size_t parts = tasks * context.pool.size();
  const size_t share = (rows + parts - 1) / parts;
  return std::clamp(InSteps(context, share), InSteps(context, 128), MostChunk(context));
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
