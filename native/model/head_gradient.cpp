#include "model/head_gradient.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/row_chunks.h"
#include "model/expected_rows.h"
#include "ops/finite.h"
#include "ops/gemm.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// A number in [0, 1) that depends on its arguments alone: splitmix64's finaliser over a mixed
// counter.
double Uniform(uint64_t seed, uint64_t token, uint64_t piece, uint64_t draw) {
  uint64_t x = seed;
  for (const uint64_t part : {token, piece, draw}) {
    x += 0x9E3779B97F4A7C15u + part;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
  }
  return static_cast<double>(x >> 11) * 0x1p-53;
}

// Index drawn with weights[count], whose sum is `sum`, by the inverse of the cumulative sum at u.
size_t Draw(size_t count, const float* weights, double sum, double u) {
  double left = u * sum;
  size_t last = 0;
  for (size_t j = 0; j < count; ++j) {
    if (weights[j] > 0) last = j;
    left -= weights[j];
    if (left < 0) break;
  }
  return last;
}

// Final norm and projection, backwards.
class HeadInputBackward {
 public:
  HeadInputBackward(Context& context, const EndsSpec& spec)
      : spec_(spec),
        norm_(LoadWhole(context, spec, spec.final_norm)),
        projection_(LoadWhole(context, spec, spec.project_out)) {}

  static Needs NeedsOf(const EndsShape& ends) {
    return HeldFloats((ends.final_norm ? ends.hidden : 0) +
                      (ends.project_out ? ends.hidden * ends.embedding_width : 0));
  }

  // grad_hidden[rows, hidden] <- Jᵀ grad_input[rows, embedding_width]; scratch[rows, hidden].
  void Compute(size_t rows, const float* hidden, const float* grad_input, float* scratch,
               float* grad_hidden) const {
    const size_t d = spec_.hidden, width = spec_.embedding_width;
    const float* grad = grad_input;
    if (!projection_.empty()) {
      float* to = norm_.empty() ? grad_hidden : scratch;
      Gemm(Trans::kNo, Trans::kNo, rows, d, width, 1.0f, grad, width, projection_.data(), d, 0.0f,
           to, d);
      grad = to;
    }
    if (!norm_.empty()) {
      std::fill_n(grad_hidden, rows * d, 0.0f);
      NormBackward(spec_.norm, rows, d, hidden, norm_.data(), spec_.eps, grad, grad_hidden);
    } else if (grad != grad_hidden) {
      std::copy_n(grad, rows * d, grad_hidden);
    }
  }

 private:
  const EndsSpec& spec_;
  const Buffer<float> norm_, projection_;
};

// Numbers of the buffers of a flight.
struct GradientCounts {
  GradientCounts(const Context& context, const EndsShape& ends, size_t tokens)
      : rows(std::min(ExpectedRows::kFlightRows, tokens)),
        inputs(rows * ends.embedding_width),
        scratch(WorkerRows(context, rows) * ends.hidden),
        label_rows(context.pool.size() * ends.embedding_width) {}
  size_t Total() const { return 2 * inputs + scratch + label_rows; }
  size_t rows, inputs, scratch, label_rows;
};

// d(NLL)/d(input of the head) = softmax(logits) W − W[label].
class HeadFlight {
 public:
  HeadFlight(Context& context, const EndsSpec& spec, const HeadGradientRun& run)
      : context_(context),
        spec_(spec),
        run_(run),
        rows_(std::min(ExpectedRows::kFlightRows, run.gradient->rows())),
        chunk_(ChunkRows(context, rows_)),
        width_(spec.embedding_width),
        forward_(context, spec),
        backward_(context, spec),
        expected_(context, spec, rows_),
        labels_(rows_),
        nll_(rows_) {
    const GradientCounts n(context, ShapeOf(spec), run.gradient->rows());
    inputs_ = context.Allocate<float>(n.inputs);
    sums_ = context.Allocate<float>(n.inputs);
    scratch_ = context.Allocate<float>(n.scratch);
    label_rows_ = context.Allocate<float>(n.label_rows);
  }

  // Of the flight that starts at `row`.
  size_t Rows(size_t row) const { return run_.gradient->Run(row, run_.hidden->Run(row, rows_)); }

  void Run(size_t row, HeadLoss& loss) {
    const size_t rows = Rows(row), d = spec_.hidden;
    const PagedMatrix::View hidden(*run_.hidden, row, rows, Access::kRead);
    const PagedMatrix::View gradient(*run_.gradient, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      forward_.Compute(count, hidden.data() + first * d, scratch_.data() + worker * chunk_ * d,
                       inputs_.data() + first * width_);
    });
    const bool drawn = run_.labels == Labels::kSampled;
    for (size_t i = 0; i < rows; ++i) labels_[i] = drawn ? -1 : run_.targets[row + i];
    ExpectedRows::Visit draw;
    if (drawn) draw = [&](const ExpectedRows::Piece& piece) { DrawLabel(row, piece); };
    expected_.Run(rows, inputs_.data(), sums_.data(), draw);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      for (size_t i = first; i < first + count; ++i) Finish(i, run_.targets[row + i] >= 0, worker);
      float* grad = gradient.data() + first * d;
      backward_.Compute(count, hidden.data() + first * d, sums_.data() + first * width_,
                        scratch_.data() + worker * chunk_ * d, grad);
      if (!AllFinite(grad, count * d)) {
        throw Error("ERR_NAN", "the loss has a gradient that is not finite",
                    "the checkpoint may be damaged, or its dtype too narrow for this text");
      }
    });
    for (size_t i = 0; i < rows; ++i) {
      if (run_.targets[row + i] < 0) continue;
      loss.nll += nll_[i];
      ++loss.targets;
    }
  }

 private:
  // A draw from a distribution that arrives in pieces: each piece takes the label over with its
  // share of all seen so far, which leaves every token its own probability in the end.
  void DrawLabel(size_t flight_row, const ExpectedRows::Piece& piece) {
    const uint64_t token = flight_row + piece.row;
    int32_t& label = labels_[piece.row];
    const bool keep = Uniform(run_.seed, token, piece.index, 0) * piece.softmax.sum >= piece.sum;
    if (keep && label >= 0) return;
    const double u = Uniform(run_.seed, token, piece.index, 1);
    label = static_cast<int32_t>(piece.column + Draw(piece.columns, piece.weights, piece.sum, u));
  }

  // sums -> softmax · W − W[label] of one row, and its NLL.
  void Finish(size_t i, bool has_target, size_t worker) {
    float* grad = sums_.data() + i * width_;
    if (!has_target) {
      std::fill_n(grad, width_, 0.0f);
      return;
    }
    const RunningSoftmax& softmax = expected_.softmax(i);
    float* label = label_rows_.data() + worker * width_;
    LoadStored(spec_, spec_.head_source(), static_cast<size_t>(labels_[i]), 1, label);
    const float* input = inputs_.data() + i * width_;
    const float inverse = static_cast<float>(1 / softmax.sum);
    double logit = 0;
    for (size_t j = 0; j < width_; ++j) {
      logit += static_cast<double>(input[j]) * label[j];
      grad[j] = grad[j] * inverse - label[j];
    }
    nll_[i] = softmax.maximum + std::log(softmax.sum) - logit;
  }

  Context& context_;
  const EndsSpec& spec_;
  const HeadGradientRun& run_;
  const size_t rows_, chunk_, width_;  // chunk_: most rows of a task
  const HeadInput forward_;
  const HeadInputBackward backward_;
  ExpectedRows expected_;
  std::vector<int32_t> labels_;
  std::vector<double> nll_;
  Buffer<float> inputs_, sums_, scratch_, label_rows_;
};

void Check(const EndsSpec& spec, const HeadGradientRun& run) {
  const size_t tokens = run.gradient->rows();
  if (run.hidden == run.gradient)
    throw Error("ERR_ARGUMENT", "the gradient needs a matrix of its own");
  if (run.hidden->rows() < tokens || run.targets.size() != tokens ||
      run.hidden->cols() != spec.hidden || run.gradient->cols() != spec.hidden) {
    throw Error("ERR_ARGUMENT",
                "hidden states, gradient and targets must agree in tokens and width");
  }
  RequireTokens(spec, run.targets, true);
}

}  // namespace

Needs HeadGradientNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens) {
  const GradientCounts n(context, ends, tokens.rows);
  Needs needs = HeadInput::NeedsOf(ends) + HeadInputBackward::NeedsOf(ends) +
                ExpectedRows::NeedsOf(context, ends, n.rows) + HeldFloats(n.Total()) +
                tokens.View(2 * ends.hidden);
  needs.float_flops = 2 * HeadFlops(ends, tokens.rows);
  return needs;
}

HeadLoss HeadGradient(Context& context, const EndsSpec& spec, const HeadGradientRun& run) {
  Check(spec, run);
  HeadLoss loss;
  HeadFlight flight(context, spec, run);
  AnnounceFlights(0, run.gradient->rows(),
                  {{run.hidden, Access::kRead}, {run.gradient, Access::kWrite}});
  for (size_t row = 0; row < run.gradient->rows(); row += flight.Rows(row)) {
    flight.Run(row, loss);
  }
  return loss;
}

}  // namespace struprune
