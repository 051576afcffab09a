#include "model/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/running_token.h"

namespace struprune {
namespace {

constexpr size_t kComparedRows = 8192;

struct Running {
  RunningToken reference, model;
  double weighted = 0;  // sum of exp(a - maximum) (a - b), a the reference's logits, b the model's
};

// a[count], b[count]: logits of the vocabulary from `first`; both are lost. difference[count]:
// scratch.
void Take(Running& state, size_t first, size_t count, float* a, float* b, float* difference,
          int32_t target) {
  for (size_t j = 0; j < count; ++j) difference[j] = a[j] - b[j];
  const float shrink = state.reference.Take(first, count, a, target);
  state.model.Take(first, count, b, target);
  double piece = 0;
  for (size_t j = 0; j < count; ++j) piece += static_cast<double>(a[j]) * difference[j];
  state.weighted = state.weighted * shrink + piece;
}

// One head's side of a flight: its normed inputs and the tile of its table at hand.
class Side {
 public:
  Side(Context& context, const HeadRun& run, size_t rows)
      : context_(context),
        run_(run),
        width_(run.ends->embedding_width),
        head_(context, *run.ends),
        inputs_(context.Allocate<float>(rows * width_)),
        scratch_(context.Allocate<float>(context.pool.size() * kHeadChunk * run.ends->hidden)),
        table_(context.Allocate<float>(std::min(kVocabularyTile, run.ends->vocab) * width_)),
        logits_(context.Allocate<float>(context.pool.size() * kHeadChunk * kLogitColumns)) {}

  void Read(size_t row, size_t rows) {
    head_.Read(context_, *run_.hidden, run_.row + row, rows, scratch_.data(), inputs_.data());
  }

  void Load(size_t first, size_t count) {
    LoadVocabulary(context_, *run_.ends, first, count, table_.data());
  }

  // Logits of rows [row, row + rows) of the flight at columns [col, col + cols) of the tile.
  float* Logits(size_t worker, size_t row, size_t rows, size_t col, size_t cols) {
    float* out = logits_.data() + worker * kHeadChunk * kLogitColumns;
    LogitsOf(*run_.ends, rows, inputs_.data() + row * width_, cols, table_.data() + col * width_,
             out, cols);
    return out;
  }

 private:
  Context& context_;
  const HeadRun& run_;
  const size_t width_;
  const HeadInput head_;
  Buffer<float> inputs_, scratch_, table_, logits_;
};

void Check(const HeadRun& reference, const HeadRun& model, std::span<const int32_t> targets) {
  if (reference.ends->vocab != model.ends->vocab) {
    throw Error("ERR_ARGUMENT",
                "the models have vocabularies of " + std::to_string(reference.ends->vocab) +
                    " and " + std::to_string(model.ends->vocab) + " tokens",
                "compare models with one tokenizer");
  }
  for (const HeadRun* run : {&reference, &model}) {
    if (run->hidden->cols() != run->ends->hidden ||
        run->row + targets.size() > run->hidden->rows()) {
      throw Error("ERR_ARGUMENT", "hidden states, head and targets must agree in width and tokens",
                  "compare states of the same windows");
    }
  }
  RequireTokens(*model.ends, targets, true);
}

void Store(const Running& state, size_t row, TokenComparison& out) {
  const double p = state.reference.LogSum(), q = state.model.LogSum();
  if (!std::isfinite(p) || !std::isfinite(q)) {
    throw Error("ERR_NAN", "logits of a token are not finite",
                "check the weights of both models for infinities");
  }
  out.best[row] = state.model.best;
  out.reference_best[row] = state.reference.best;
  out.nll[row] = q - state.model.target_logit;
  // Of equal distributions rounding may leave a hair below 0.
  out.kl[row] = std::max(0.0, state.weighted / state.reference.softmax.sum - p + q);
}

}  // namespace

TokenComparison CompareTokens(Context& context, const HeadRun& reference, const HeadRun& model,
                              std::span<const int32_t> targets) {
  Check(reference, model, targets);
  const size_t tokens = targets.size(), vocab = model.ends->vocab;
  const double none = std::numeric_limits<double>::quiet_NaN();
  TokenComparison out{std::vector<double>(tokens, none), std::vector<double>(tokens, none),
                      std::vector<int32_t>(tokens, -1), std::vector<int32_t>(tokens, -1)};
  const size_t flight = std::min(tokens, kComparedRows);
  Side p(context, reference, flight), q(context, model, flight);
  auto differences = context.Allocate<float>(context.pool.size() * kLogitColumns);
  for (size_t row = 0; row < tokens; row += flight) {
    const size_t rows = std::min(flight, tokens - row),
                 chunks = (rows + kHeadChunk - 1) / kHeadChunk;
    p.Read(row, rows);
    q.Read(row, rows);
    std::vector<Running> running(rows);
    for (size_t tile = 0; tile < vocab; tile += kVocabularyTile) {
      const size_t count = std::min(kVocabularyTile, vocab - tile);
      p.Load(tile, count);
      q.Load(tile, count);
      context.pool.ParallelFor(chunks, [&](size_t chunk, size_t worker) {
        const size_t first = chunk * kHeadChunk, n = std::min(kHeadChunk, rows - first);
        for (size_t col = 0; col < count; col += kLogitColumns) {
          context.CheckAbort();
          const size_t cols = std::min(kLogitColumns, count - col);
          float* a = p.Logits(worker, first, n, col, cols);
          float* b = q.Logits(worker, first, n, col, cols);
          for (size_t i = 0; i < n; ++i) {
            const int32_t target = targets[row + first + i];
            if (target < 0) continue;
            Take(running[first + i], tile + col, cols, a + i * cols, b + i * cols,
                 differences.data() + worker * kLogitColumns, target);
          }
        }
      });
    }
    for (size_t i = 0; i < rows; ++i) {
      if (targets[row + i] >= 0) Store(running[i], row + i, out);
    }
  }
  return out;
}

}  // namespace struprune
