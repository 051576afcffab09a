#include "model/expected_rows.h"

#include <algorithm>

#include "core/row_chunks.h"
#include "ops/gemm.h"

namespace struprune {

namespace {

// Of [chunk, columns] a worker.
size_t WeightsOf(const Context& context, size_t rows) {
  return WorkerRows(context, rows) * kLogitColumns;
}

}  // namespace

Needs ExpectedRows::NeedsOf(const Context& context, const EndsShape& ends, size_t rows) {
  return HeldFloats(WeightsOf(context, rows)) + VocabularyTileNeeds(ends);
}

ExpectedRows::ExpectedRows(Context& context, const EndsSpec& spec, size_t rows)
    : context_(context),
      spec_(spec),
      softmaxes_(rows),
      chunk_(ChunkRows(context, rows)),
      weights_(context.Allocate<float>(WeightsOf(context, rows))) {}

void ExpectedRows::Run(size_t rows, const float* inputs, float* sums, const Visit& visit) {
  const size_t width = spec_.embedding_width;
  std::fill_n(softmaxes_.begin(), rows, RunningSoftmax{});
  std::fill_n(sums, rows * width, 0.0f);
  ForVocabularyTiles(context_, spec_, [&](size_t tile, size_t count, const float* table) {
    ForChunks(context_, rows, [&](size_t first, size_t n, size_t worker) {
      float* weights = weights_.data() + worker * chunk_ * kLogitColumns;
      for (size_t col = 0; col < count; col += kLogitColumns) {
        AddPiece(first, n, tile + col, std::min(kLogitColumns, count - col), table + col * width,
                 inputs, sums, weights, visit);
      }
    });
  });
}

// Rows [first, first + count) of the flight, vocabulary [column, column + columns).
void ExpectedRows::AddPiece(size_t first, size_t count, size_t column, size_t columns,
                            const float* table, const float* inputs, float* sums, float* weights,
                            const Visit& visit) {
  const size_t width = spec_.embedding_width;
  float* own_sums = sums + first * width;
  Gemm(Trans::kNo, Trans::kYes, count, columns, width, 1.0f, inputs + first * width, width, table,
       width, 0.0f, weights, columns);
  for (size_t i = 0; i < count; ++i) {
    RunningSoftmax& softmax = softmaxes_[first + i];
    float* own = weights + i * columns;
    double piece = 0;
    const float shrink = SoftmaxPiece(columns, own, softmax, piece);
    for (size_t j = 0; j < width; ++j) own_sums[i * width + j] *= shrink;
    if (visit) visit({first + i, column / kLogitColumns, column, columns, own, piece, softmax});
  }
  Gemm(Trans::kNo, Trans::kNo, count, width, columns, 1.0f, weights, columns, table, width, 1.0f,
       own_sums, width);
}

}  // namespace struprune
