#include "passes/score.h"

#include <algorithm>
#include <vector>

#include "model/running_token.h"
#include "passes/head_on_device.h"

namespace struprune {
namespace {

constexpr size_t kScoreRows = 8192;

// Of ScoreTokens beside the head's input.
struct ScoreCounts {
  ScoreCounts(const Context& context, const EndsShape& ends, size_t tokens)
      : flight(std::min(tokens, kScoreRows)),
        inputs(flight * ends.embedding_width),
        logits(context.pool.size() * kHeadChunk * kLogitColumns),
        scratch(context.pool.size() * kHeadChunk * ends.hidden) {}
  size_t flight, inputs, logits, scratch;
};

}  // namespace

TokenScores ScoreTokens(Context& context, const EndsSpec& spec, PagedMatrix& hidden,
                        std::span<const int32_t> targets) {
  if (context.gpu) return ScoreTokensOnDevice(*context.gpu, context, spec, hidden, targets);
  const size_t width = spec.embedding_width, tokens = hidden.rows();
  const HeadInput head(context, spec);
  TokenScores scores(tokens);
  const auto target = [&](size_t row) { return targets.empty() ? -1 : targets[row]; };
  const ScoreCounts sizes(context, ShapeOf(spec), tokens);
  auto inputs = context.Allocate<float>(sizes.inputs);
  auto logits = context.Allocate<float>(sizes.logits);
  auto scratch = context.Allocate<float>(sizes.scratch);
  AnnounceFlights(0, tokens, {{&hidden, PagedMatrix::Access::kRead}});
  for (size_t row = 0; row < tokens; row += sizes.flight) {
    const size_t rows = std::min(sizes.flight, tokens - row);
    const size_t chunks = (rows + kHeadChunk - 1) / kHeadChunk;
    head.Read(context, hidden, row, rows, scratch.data(), inputs.data());
    std::vector<RunningToken> running(rows);
    ForVocabularyTiles(context, spec, [&](size_t tile, size_t count, const float* table) {
      context.pool.ParallelFor(chunks, [&](size_t chunk, size_t worker) {
        const size_t first = chunk * kHeadChunk, n = std::min(kHeadChunk, rows - first);
        float* out = logits.data() + worker * kHeadChunk * kLogitColumns;
        for (size_t col = 0; col < count; col += kLogitColumns) {
          context.CheckAbort();
          const size_t cols = std::min(kLogitColumns, count - col);
          LogitsOf(spec, n, inputs.data() + first * width, cols, table + col * width, out, cols);
          for (size_t i = 0; i < n; ++i) {
            running[first + i].Take(tile + col, cols, out + i * cols, target(row + first + i));
          }
        }
      });
    });
    for (size_t i = 0; i < rows; ++i) {
      const RunningToken& state = running[i];
      scores.best[row + i] = state.best;
      scores.log_sum[row + i] = state.LogSum();
      if (target(row + i) >= 0) scores.nll[row + i] = scores.log_sum[row + i] - state.target_logit;
    }
  }
  return scores;
}

// The states' pages and a tile of the vocabulary are not in memory at the same time.
Needs ScoreNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens) {
  if (context.gpu) return ScoreNeedsOnDevice(*context.gpu, context, ends, tokens);
  const ScoreCounts n(context, ends, tokens.rows);
  Needs needs = HeadInput::NeedsOf(ends) + HeldFloats(n.inputs + n.logits + n.scratch) +
                tokens.View(ends.hidden).Then(VocabularyTileNeeds(ends));
  needs.float_flops = HeadFlops(ends, tokens.rows);
  return needs;
}

}  // namespace struprune
