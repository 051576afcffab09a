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

// Rows of a task: MostChunk, and fewer where that leaves a worker with less than `tasks` of them,
// or the last task with few rows: OpenBLAS has other kernels with AVX-512 where those are narrow.
inline size_t ChunkRows(const Context& context, size_t rows, size_t tasks = 2) {
  const size_t parts = tasks * context.pool.size(), least = InSteps(context, 128);
  const size_t share = (rows + parts - 1) / parts;
  const size_t chunk = std::clamp(InSteps(context, share), least, MostChunk(context));
  for (size_t some = chunk; some >= least; some -= context.row_step) {
    if (rows % some == 0 || rows % some >= least) return some;
  }
  return chunk;
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

// The same for products by a rank, in pieces of as many rows on any number of threads: a BLAS has
// other kernels for small products, and which are small depends on their rows too.
template <typename Fn>
void ForPieces(Context& context, size_t rows, Fn&& fn) {
  constexpr size_t kPiece = 128;
  context.pool.ParallelFor((rows + kPiece - 1) / kPiece, [&](size_t task, size_t) {
    context.CheckAbort();
    fn(task * kPiece, std::min(kPiece, rows - task * kPiece));
  });
}

}  // namespace struprune
