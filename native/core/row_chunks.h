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

inline size_t LeastChunk(const Context& context) { return InSteps(context, 128); }

// Rows of a task: MostChunk, and fewer where that leaves a worker with less than `tasks` of them;
// never more of fewer rows, since buffers are made for a whole page.
inline size_t ChunkRows(const Context& context, size_t rows, size_t tasks = 2) {
  const size_t parts = tasks * context.pool.size();
  const size_t share = (rows + parts - 1) / parts;
  return std::clamp(InSteps(context, share), LeastChunk(context), MostChunk(context));
}

// Rows that the last task takes from the one before where it would have few: OpenBLAS has other
// kernels for small products with AVX-512.
inline size_t RowsTakenOver(const Context& context, size_t rows, size_t chunk) {
  const size_t last = rows % chunk, least = LeastChunk(context);
  if (rows < chunk || last == 0 || last >= least) return 0;
  const size_t more = InSteps(context, least - last);
  return more + least <= chunk ? more : 0;
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
  const size_t chunk = ChunkRows(context, rows, tasks), count = ChunkCount(context, rows, tasks);
  const size_t moved = RowsTakenOver(context, rows, chunk);
  const auto begin = [&](size_t task) {
    return task == count ? rows : task * chunk - (task + 1 == count ? moved : 0);
  };
  context.pool.ParallelFor(count, [&](size_t task, size_t worker) {
    context.CheckAbort();
    fn(begin(task), begin(task + 1) - begin(task), worker);
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
