#include "passes/divergence.h"

#include <algorithm>
#include <cmath>

#include "core/row_chunks.h"
#include "model/expected_rows.h"
#include "passes/head_on_device.h"
#include "passes/score.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

void Check(const EndsSpec& spec, const PagedMatrix& hidden, const PagedMatrix& mean) {
  if (hidden.rows() != mean.rows() || hidden.page_rows() != mean.page_rows() ||
      hidden.cols() != spec.hidden || mean.cols() != spec.embedding_width) {
    throw Error("ERR_ARGUMENT", "hidden states and expected rows must agree in tokens and width",
                "compare states of the same windows");
  }
}

double Finite(double value) {
  if (std::isfinite(value)) return value;
  throw Error("ERR_NAN", "logits of a token are not finite",
              "the checkpoint may be damaged, or its dtype too narrow for this text");
}

// Numbers of the buffers of ForDots.
struct DotCounts {
  DotCounts(const Context& context, const EndsShape& ends, size_t page)
      : inputs(WorkerRows(context, page) * ends.embedding_width),
        scratch(WorkerRows(context, page) * ends.hidden) {}
  size_t inputs, scratch;
};

Needs DotNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens) {
  const DotCounts n(context, ends, tokens.flight());
  return HeadInput::NeedsOf(ends) + HeldFloats(n.inputs + n.scratch) + tokens.View(ends.hidden) +
         tokens.View(ends.embedding_width);
}

// Of ExpectHead on the CPU.
struct MeanCounts {
  MeanCounts(const Context& context, const EndsShape& ends, size_t tokens)
      : rows(std::min(ExpectedRows::kFlightRows, tokens)),
        inputs(rows * ends.embedding_width),
        scratch(context.pool.size() * kHeadChunk * ends.hidden) {}
  size_t rows, inputs, scratch;
};

Needs MeanNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens) {
  const MeanCounts n(context, ends, tokens.rows);
  // The states' page goes before the mean's and a tile of the vocabulary come.
  return HeadInput::NeedsOf(ends) + HeldFloats(n.inputs + n.scratch) +
         tokens.View(ends.hidden)
             .Then(tokens.View(ends.embedding_width) +
                   ExpectedRows::NeedsOf(context, ends, n.rows));
}

// visit(token, m x) for all tokens, on all threads: m the row of `mean`, x the head's input.
template <typename Visit>
void ForDots(Context& context, const EndsSpec& spec, PagedMatrix& mean, PagedMatrix& hidden,
             Visit visit) {
  const HeadInput head(context, spec);
  const size_t d = spec.hidden, width = spec.embedding_width, tokens = hidden.rows();
  const size_t page = std::min(tokens, mean.page_rows()), chunk = ChunkRows(context, page);
  const DotCounts n(context, ShapeOf(spec), page);
  auto inputs = context.Allocate<float>(n.inputs);
  auto scratch = context.Allocate<float>(n.scratch);
  for (size_t row = 0; row < tokens;) {
    const size_t rows = mean.Run(row, tokens - row);
    const PagedMatrix::View states(hidden, row, rows, Access::kRead);
    const PagedMatrix::View view(mean, row, rows, Access::kRead);
    ForChunks(context, rows, [&](size_t first, size_t count, size_t worker) {
      float* x = inputs.data() + worker * chunk * width;
      head.Compute(count, states.data() + first * d, scratch.data() + worker * chunk * d, x);
      for (size_t i = 0; i < count; ++i) {
        visit(row + first + i, Dot(width, view.data() + (first + i) * width, x + i * width));
      }
    });
    row += rows;
  }
}

// visit(token, the mean of the capped logits of `hidden` under p) for all tokens; mean: p's inputs
// of the head.
template <typename Visit>
void ForMeanLogits(Context& context, const EndsSpec& spec, PagedMatrix& mean, PagedMatrix& hidden,
                   Visit visit) {
  const size_t tokens = hidden.rows();
  const MeanCounts n(context, ShapeOf(spec), tokens);
  const HeadInput head(context, spec);
  ExpectedRows expected(context, spec, n.rows);
  auto inputs = context.Allocate<float>(n.inputs), sums = context.Allocate<float>(n.inputs);
  auto scratch = context.Allocate<float>(n.scratch);
  for (size_t row = 0; row < tokens;) {
    const size_t rows = mean.Run(row, n.rows);
    head.Read(context, hidden, row, rows, scratch.data(), inputs.data());
    const PagedMatrix::View view(mean, row, rows, Access::kRead);
    expected.Run(rows, view.data(), inputs.data(), sums.data(), {});
    for (size_t i = 0; i < rows; ++i) visit(row + i, expected.logit(i) / expected.softmax(i).sum);
    row += rows;
  }
}

// The same by way of the GPU, whose means and sums of exponentials leave a product for the CPU.
std::vector<double> ExpectHeadOnDevice(Context& context, const EndsSpec& spec, PagedMatrix& hidden,
                                       PagedMatrix& mean) {
  std::vector<double> entropy = ExpectRowsOnDevice(*context.gpu, context, spec, hidden, mean);
  ForDots(context, spec, mean, hidden,
          [&](size_t at, double dot) { entropy[at] = Finite(dot - entropy[at]); });
  return entropy;
}

}  // namespace

std::vector<double> ExpectHead(Context& context, const EndsSpec& spec, PagedMatrix& hidden,
                               PagedMatrix& mean) {
  Check(spec, hidden, mean);
  const bool capped = spec.logit_cap > 0;
  if (context.gpu && !capped) return ExpectHeadOnDevice(context, spec, hidden, mean);
  const size_t width = spec.embedding_width, tokens = hidden.rows();
  const MeanCounts n(context, ShapeOf(spec), tokens);
  const HeadInput head(context, spec);
  ExpectedRows expected(context, spec, n.rows);
  auto inputs = context.Allocate<float>(n.inputs);
  auto scratch = context.Allocate<float>(n.scratch);
  std::vector<double> negative_entropy(tokens);
  for (size_t row = 0; row < tokens;) {
    const size_t rows = mean.Run(row, n.rows);
    head.Read(context, hidden, row, rows, scratch.data(), inputs.data());
    const PagedMatrix::View view(mean, row, rows, Access::kWrite);
    expected.Run(rows, inputs.data(), inputs.data(), view.data(), {});
    ForChunks(context, rows, [&](size_t first, size_t count, size_t) {
      for (size_t i = first; i < first + count; ++i) {
        const RunningSoftmax& softmax = expected.softmax(i);
        const float* input = inputs.data() + i * width;
        float* own = view.data() + i * width;
        const float inverse = static_cast<float>(1 / softmax.sum);
        for (size_t j = 0; j < width; ++j) own[j] = capped ? input[j] : own[j] * inverse;
        const double logit = capped ? expected.logit(i) / softmax.sum : Dot(width, own, input);
        negative_entropy[row + i] = Finite(logit - softmax.maximum - std::log(softmax.sum));
      }
    });
    row += rows;
  }
  return negative_entropy;
}

Needs ExpectHeadNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens) {
  Needs needs;
  if (context.gpu && !ends.capped) {
    needs = ExpectRowsNeedsOnDevice(*context.gpu, context, ends, tokens)
                .Then(DotNeeds(context, ends, tokens));
  } else {
    needs = MeanNeeds(context, ends, tokens);
  }
  // Logits, and the sum of the rows.
  needs.float_flops = 2 * HeadFlops(ends, tokens.rows);
  return needs;
}

std::vector<double> DivergenceFrom(Context& context, const EndsSpec& spec, PagedMatrix& mean,
                                   std::span<const double> negative_entropy, PagedMatrix& hidden) {
  Check(spec, hidden, mean);
  if (negative_entropy.size() != hidden.rows()) {
    throw Error("ERR_ARGUMENT", "every token needs its sum of p log p",
                "compare states of the same windows");
  }
  std::vector<double> kl = ScoreTokens(context, spec, hidden, {}).log_sum;
  // Of equal distributions rounding may leave a hair below 0.
  const auto finish = [&](size_t at, double logit) {
    kl[at] = std::max(0.0, Finite(negative_entropy[at] - logit + kl[at]));
  };
  if (spec.logit_cap > 0) {
    ForMeanLogits(context, spec, mean, hidden, finish);
  } else {
    ForDots(context, spec, mean, hidden, finish);
  }
  return kl;
}

Needs DivergenceNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens) {
  const Needs score = ScoreNeeds(context, ends, tokens);
  if (!ends.capped) return score.Then(DotNeeds(context, ends, tokens));
  Needs means =
      MeanNeeds(context, ends, tokens) + HeldFloats(MeanCounts(context, ends, tokens.rows).inputs);
  means.float_flops = 2 * HeadFlops(ends, tokens.rows);
  return score.Then(means);
}

}  // namespace struprune
