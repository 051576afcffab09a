#include "model/expected_rows.h"

#include <algorithm>

#include "core/row_chunks.h"
#include "ops/gemm.h"
#include "ops/soft_cap.h"

namespace struprune {

namespace {

// Of [chunk, columns] a worker.
size_t WeightsOf(const Context& context, size_t rows) {
  return WorkerRows(context, rows) * kLogitColumns;
}

}  // namespace

double Dot(size_t count, const float* a, const float* b) {
  double sum = 0;
  for (size_t j = 0; j < count; ++j) sum += static_cast<double>(a[j]) * b[j];
  return sum;
}

Needs ExpectedRows::NeedsOf(const Context& context, const EndsShape& ends, size_t rows) {
  return HeldFloats((ends.capped ? 2 : 1) * WeightsOf(context, rows)) + VocabularyTileNeeds(ends);
}

ExpectedRows::ExpectedRows(Context& context, const EndsSpec& spec, size_t rows)
    : context_(context),
      spec_(spec),
      softmaxes_(rows),
      logits_(rows),
      chunk_(ChunkRows(context, rows)),
      weights_(context.Allocate<float>(WeightsOf(context, rows))),
      slopes_(context.Allocate<float>(spec.logit_cap > 0 ? WeightsOf(context, rows) : 0)) {}

void ExpectedRows::Run(size_t rows, const float* inputs, const float* at, float* sums,
                       const Visit& visit) {
  const size_t width = spec_.embedding_width;
  const Pass pass{inputs, at, sums, visit};
  std::fill_n(softmaxes_.begin(), rows, RunningSoftmax{});
  std::fill_n(logits_.begin(), rows, 0.0);
  std::fill_n(sums, rows * width, 0.0f);
  ForVocabularyTiles(context_, spec_, [&](size_t tile, size_t count, const float* table) {
    ForChunks(context_, rows, [&](size_t first, size_t n, size_t worker) {
      for (size_t col = 0; col < count; col += kLogitColumns) {
        AddPiece(pass, first, n, tile + col, std::min(kLogitColumns, count - col),
                 table + col * width, worker);
      }
    });
  });
}

// Rows [first, first + count) of the flight, vocabulary [column, column + columns).
void ExpectedRows::AddPiece(const Pass& pass, size_t first, size_t count, size_t column,
                            size_t columns, const float* table, size_t worker) {
  const size_t width = spec_.embedding_width, own = worker * chunk_ * kLogitColumns;
  const float cap = spec_.logit_cap;
  float* const sums = pass.sums + first * width;
  float* const weights = weights_.data() + own;
  float* const slopes = cap > 0 ? slopes_.data() + own : nullptr;
  LogitsOf(spec_, count, pass.inputs + first * width, columns, table, weights, columns);
  if (slopes && pass.at == pass.inputs) {
    std::copy_n(weights, count * columns, slopes);
  } else if (slopes) {
    LogitsOf(spec_, count, pass.at + first * width, columns, table, slopes, columns);
  }
  for (size_t i = 0; i < count; ++i) {
    RunningSoftmax& softmax = softmaxes_[first + i];
    float* const row = weights + i * columns;
    double piece = 0;
    const float shrink = SoftmaxPiece(columns, row, softmax, piece);
    for (size_t j = 0; j < width; ++j) sums[i * width + j] *= shrink;
    if (pass.visit) {
      pass.visit({first + i, column / kLogitColumns, column, columns, row, piece, softmax});
    }
    if (!slopes) continue;
    double& logit = logits_[first + i];
    logit *= shrink;
    for (size_t j = 0; j < columns; ++j) {
      const float capped = slopes[i * columns + j];
      logit += static_cast<double>(row[j]) * capped;
      row[j] *= SoftCapSlope(cap, capped);
    }
  }
  Gemm(Trans::kNo, Trans::kNo, count, width, columns, 1.0f, weights, columns, table, width, 1.0f,
       sums, width);
}

}  // namespace struprune
