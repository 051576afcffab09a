#include "model/head_gradient.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/row_chunks.h"
#include "model/expected_rows.h"
#include "ops/finite.h"
#include "ops/gemm.h"
#include "ops/soft_cap.h"

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
size_t DrawIndex(size_t count, const float* weights, double sum, double u) {
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
        norm_(LoadFinalNorm(context, spec)),
        projection_(LoadWhole(context, spec, spec.project_out)) {}

  static Needs NeedsOf(const EndsShape& ends) {
    return HeldFloats((ends.final_norm ? ends.hidden : 0) +
                      (ends.project_out ? ends.hidden * ends.embedding_width : 0));
  }

  // grad_hidden[rows, hidden] <- Jᵀ grad_input[rows, embedding_width]; scratch[rows, hidden].
  // factors[rows, hidden] <- the gradient of the norm's factors; null: not wanted.
  void Compute(size_t rows, const float* hidden, const float* grad_input, float* scratch,
               float* grad_hidden, float* factors) const {
    const size_t d = spec_.hidden, width = spec_.embedding_width;
    const float* grad = grad_input;
    if (!projection_.empty()) {
      float* to = norm_.empty() ? grad_hidden : scratch;
      Gemm(Trans::kNo, Trans::kNo, rows, d, width, 1.0f, grad, width, projection_.data(), d, 0.0f,
           to, d);
      grad = to;
    }
    if (!norm_.empty()) {
      if (factors) {
        NormFactorsBackward(spec_.norm, rows, d, hidden, norm_.data(), spec_.eps, grad, factors);
      }
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
  // final_norm: the gradients of the norm's factors are asked for.
  GradientCounts(const Context& context, const EndsShape& ends, size_t tokens, bool final_norm)
      : rows(std::min(ExpectedRows::kFlightRows, tokens)),
        inputs(rows * ends.embedding_width),
        scratch(WorkerRows(context, rows) * ends.hidden),
        factors(final_norm ? rows * ends.hidden : 0) {}
  size_t Total() const { return 2 * inputs + scratch + factors; }
  size_t rows, inputs, scratch, factors;
};

// Of a row of the head for each worker.
size_t LabelRows(const Context& context, size_t embedding_width) {
  return context.pool.size() * embedding_width;
}

// What the loss of a token takes away: a logit, and its gradient by the head's input.
struct LogitTarget {
  const float* row = nullptr;  // [embedding_width]; null: the token has no loss
  double logit = 0;
};

// With x the input of the head W, the loss log sum exp(W x) - l of a token, l a target's logit.
// Where that is a label's, the loss is its NLL; where it is the mean logit under a distribution p,
// the cross entropy from p. The gradient is softmax(W x) W less that of l: a row of W, or their
// mean, where logits are not capped.
class HeadFlight {
 public:
  HeadFlight(Context& context, const EndsSpec& spec, PagedMatrix& hidden, PagedMatrix& gradient,
             Statistics* final_norm)
      : context_(context),
        spec_(spec),
        hidden_(hidden),
        gradient_(gradient),
        final_norm_(final_norm),
        segments_(gradient.rows(), gradient.page_rows()),
        rows_(std::min(ExpectedRows::kFlightRows, gradient.rows())),
        chunk_(ChunkRows(context, rows_)),
        width_(spec.embedding_width),
        forward_(context, spec),
        backward_(context, spec),
        expected_(context, spec, rows_),
        losses_(rows_) {
    const GradientCounts n(context, ShapeOf(spec), gradient.rows(), final_norm != nullptr);
    inputs_ = context.Allocate<float>(n.inputs);
    sums_ = context.Allocate<float>(n.inputs);
    scratch_ = context.Allocate<float>(n.scratch);
    factors_ = context.Allocate<float>(n.factors);
  }

  // Of the flight that starts at `row`.
  size_t Rows(size_t row) const { return gradient_.Run(row, hidden_.Run(row, rows_)); }

  using Begin = std::function<void(size_t rows, const float* inputs)>;
  // target(i, worker, input) of the flight's row i, called once `visit` has seen all of the
  // vocabulary. `begin` (may be empty) is called before.
  template <typename TargetOf>
  void Run(size_t row, const Begin& begin, const ExpectedRows::Visit& visit,
           const TargetOf& target) {
    const size_t rows = Rows(row), d = spec_.hidden;
    const PagedMatrix::View hidden(hidden_, row, rows, Access::kRead);
    const PagedMatrix::View gradient(gradient_, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      forward_.Compute(count, hidden.data() + first * d, scratch_.data() + worker * chunk_ * d,
                       inputs_.data() + first * width_);
    });
    if (begin) begin(rows, inputs_.data());
    expected_.Run(rows, inputs_.data(), inputs_.data(), sums_.data(), visit);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      for (size_t i = first; i < first + count; ++i) {
        Finish(i, target(i, worker, inputs_.data() + i * width_));
      }
      float* grad = gradient.data() + first * d;
      backward_.Compute(count, hidden.data() + first * d, sums_.data() + first * width_,
                        scratch_.data() + worker * chunk_ * d, grad,
                        final_norm_ ? factors_.data() + first * d : nullptr);
      if (!AllFinite(grad, count * d)) {
        throw Error("ERR_NAN", "the loss has a gradient that is not finite",
                    "the checkpoint may be damaged, or its dtype too narrow for this text");
      }
    });
    if (final_norm_) final_norm_->Add(Segment(row), rows, factors_.data(), nullptr);
  }

  size_t Segment(size_t row) const { return segments_.At(row); }
  // Of the last run; 0 where there is none.
  double loss(size_t i) const { return losses_[i]; }
  // For `begin`: what it leaves in it is lost afterwards.
  ExpectedRows& expected() { return expected_; }

 private:
  // sums -> softmax · W − target of one row, and its loss.
  void Finish(size_t i, const LogitTarget& target) {
    float* grad = sums_.data() + i * width_;
    losses_[i] = 0;
    if (!target.row) {
      std::fill_n(grad, width_, 0.0f);
      return;
    }
    const RunningSoftmax& softmax = expected_.softmax(i);
    const float inverse = static_cast<float>(1 / softmax.sum);
    for (size_t j = 0; j < width_; ++j) grad[j] = grad[j] * inverse - target.row[j];
    losses_[i] = softmax.maximum + std::log(softmax.sum) - target.logit;
  }

  Context& context_;
  const EndsSpec& spec_;
  PagedMatrix &hidden_, &gradient_;
  Statistics* const final_norm_;
  const Segments segments_;
  const size_t rows_, chunk_, width_;  // chunk_: most rows of a task
  const HeadInput forward_;
  const HeadInputBackward backward_;
  ExpectedRows expected_;
  std::vector<double> losses_;
  Buffer<float> inputs_, sums_, scratch_, factors_;
};

// Throws where the shapes of what every gradient at the head has disagree.
void CheckShapes(const EndsSpec& spec, const PagedMatrix& hidden, const PagedMatrix& gradient) {
  if (&hidden == &gradient) {
    throw Error("ERR_ARGUMENT", "the gradient needs a matrix of its own");
  }
  if (hidden.rows() < gradient.rows() || hidden.cols() != spec.hidden ||
      gradient.cols() != spec.hidden) {
    throw Error("ERR_ARGUMENT", "hidden states and gradient must agree in tokens and width");
  }
}

// The labels of a flight.
class FlightLabels {
 public:
  FlightLabels(Context& context, const EndsSpec& spec, const HeadGradientRun& run)
      : spec_(spec), run_(run), labels_(std::min(ExpectedRows::kFlightRows, run.targets.size())) {
    rows_ = context.Allocate<float>(LabelRows(context, spec.embedding_width));
  }

  // What sees a flight's predictions as they pass: none where the text has the labels.
  ExpectedRows::Visit Begin(size_t flight_row, size_t rows) {
    const bool drawn = run_.labels == Labels::kSampled;
    for (size_t i = 0; i < rows; ++i) labels_[i] = drawn ? -1 : run_.targets[flight_row + i];
    if (!drawn) return {};
    return [this, flight_row](const ExpectedRows::Piece& piece) { Draw(flight_row, piece); };
  }

  // Of the head's row of the label, in a worker's own memory.
  LogitTarget Of(size_t i, size_t worker, const float* input) {
    const size_t width = spec_.embedding_width;
    float* row = rows_.data() + worker * width;
    LoadStored(spec_, spec_.head_source(), static_cast<size_t>(labels_[i]), 1, row);
    const double logit = Dot(width, input, row);
    if (spec_.logit_cap == 0) return {row, logit};
    float capped = static_cast<float>(logit);
    SoftCap(spec_.logit_cap, 1, &capped);
    const float slope = SoftCapSlope(spec_.logit_cap, capped);
    for (size_t j = 0; j < width; ++j) row[j] *= slope;
    return {row, capped};
  }

 private:
  // A draw from a distribution that arrives in pieces: each piece takes the label over with its
  // share of all seen so far, which leaves every token its own probability in the end.
  void Draw(size_t flight_row, const ExpectedRows::Piece& piece) {
    const uint64_t token = flight_row + piece.row;
    int32_t& label = labels_[piece.row];
    const bool keep = Uniform(run_.seed, token, piece.index, 0) * piece.softmax.sum >= piece.sum;
    if (keep && label >= 0) return;
    const double u = Uniform(run_.seed, token, piece.index, 1);
    label =
        static_cast<int32_t>(piece.column + DrawIndex(piece.columns, piece.weights, piece.sum, u));
  }

  const EndsSpec& spec_;
  const HeadGradientRun& run_;
  std::vector<int32_t> labels_;
  Buffer<float> rows_;
};

// Of a distribution p, by what ExpectHead keeps of it.
class MeanTargets {
 public:
  MeanTargets(Context& context, const EndsSpec& spec, size_t tokens)
      : context_(context), width_(spec.embedding_width), capped_(spec.logit_cap > 0) {
    rows_ = context.Allocate<float>(RowsOf(ShapeOf(spec), tokens));
    logits_.resize(rows_.size() / width_);
  }
  // Numbers of a buffer for a flight.
  static size_t RowsOf(const EndsShape& ends, size_t tokens) {
    return ends.capped ? std::min(ExpectedRows::kFlightRows, tokens) * ends.embedding_width : 0;
  }

  // kept[rows, embedding_width] of the flight at hand.
  void View(const float* kept) { kept_ = kept; }

  // Capped logits have another slope at every input: their means are made anew.
  HeadFlight::Begin Begin(ExpectedRows& expected) {
    if (!capped_) return {};
    return [this, &expected](size_t rows, const float* inputs) {
      expected.Run(rows, kept_, inputs, rows_.data(), {});
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
        for (size_t i = first; i < first + count; ++i) {
          const double sum = expected.softmax(i).sum;
          logits_[i] = expected.logit(i) / sum;
          const float inverse = static_cast<float>(1 / sum);
          for (size_t j = 0; j < width_; ++j) rows_[i * width_ + j] *= inverse;
        }
      });
    };
  }

  LogitTarget Of(size_t i, const float* input) const {
    if (capped_) return {rows_.data() + i * width_, logits_[i]};
    const float* mean = kept_ + i * width_;
    return {mean, Dot(width_, input, mean)};
  }

 private:
  Context& context_;
  const size_t width_;
  const bool capped_;
  const float* kept_ = nullptr;
  Buffer<float> rows_;
  std::vector<double> logits_;
};

Needs FlightNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens,
                  bool final_norm) {
  const GradientCounts n(context, ends, tokens.rows, final_norm);
  Needs needs = HeadInput::NeedsOf(ends) + HeadInputBackward::NeedsOf(ends) +
                ExpectedRows::NeedsOf(context, ends, n.rows) + HeldFloats(n.Total()) +
                tokens.View(2 * ends.hidden);
  needs.float_flops = 2 * HeadFlops(ends, tokens.rows);
  return needs;
}

}  // namespace

Needs HeadGradientNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens) {
  return FlightNeeds(context, ends, tokens, false) +
         HeldFloats(LabelRows(context, ends.embedding_width));
}

Needs DivergenceGradientNeeds(const Context& context, const EndsShape& ends,
                              const TokenPages& tokens) {
  Needs needs = FlightNeeds(context, ends, tokens, ends.final_norm) +
                tokens.View(ends.embedding_width) +
                HeldFloats(MeanTargets::RowsOf(ends, tokens.rows));
  if (!ends.final_norm) return needs;
  const Statistics::Sizes sums[] = {{ends.hidden}};
  return needs + Statistics::WaitingNeeds(context, sums, tokens);
}

HeadLoss HeadGradient(Context& context, const EndsSpec& spec, const HeadGradientRun& run) {
  CheckShapes(spec, *run.hidden, *run.gradient);
  if (run.targets.size() != run.gradient->rows()) {
    throw Error("ERR_ARGUMENT", "gradient and targets must agree in tokens");
  }
  RequireTokens(spec, run.targets, true);
  HeadLoss loss;
  SegmentSums<double> nll;
  HeadFlight flight(context, spec, *run.hidden, *run.gradient, nullptr);
  FlightLabels labels(context, spec, run);
  AnnounceFlights(0, run.gradient->rows(),
                  {{run.hidden, Access::kRead}, {run.gradient, Access::kWrite}});
  for (size_t row = 0; row < run.gradient->rows(); row += flight.Rows(row)) {
    const size_t rows = flight.Rows(row);
    flight.Run(row, {}, labels.Begin(row, rows), [&](size_t i, size_t worker, const float* input) {
      return run.targets[row + i] < 0 ? LogitTarget{} : labels.Of(i, worker, input);
    });
    double& sum = nll.At(flight.Segment(row));
    for (size_t i = 0; i < rows; ++i) {
      sum += flight.loss(i);
      if (run.targets[row + i] >= 0) ++loss.targets;
    }
  }
  loss.nll = nll.Total();
  return loss;
}

double DivergenceGradient(Context& context, const EndsSpec& spec,
                          const DivergenceGradientRun& run) {
  CheckShapes(spec, *run.hidden, *run.gradient);
  const size_t tokens = run.gradient->rows();
  if (run.mean->rows() < tokens || run.mean->cols() != spec.embedding_width ||
      run.mean->page_rows() != run.gradient->page_rows() || run.negative_entropy.size() != tokens) {
    throw Error("ERR_ARGUMENT", "gradient and expected rows must agree in tokens and width");
  }
  SegmentSums<double> sums;
  HeadFlight flight(context, spec, *run.hidden, *run.gradient, run.final_norm);
  MeanTargets targets(context, spec, tokens);
  AnnounceFlights(
      0, tokens,
      {{run.hidden, Access::kRead}, {run.gradient, Access::kWrite}, {run.mean, Access::kRead}});
  for (size_t row = 0; row < tokens; row += flight.Rows(row)) {
    const size_t rows = flight.Rows(row);
    const PagedMatrix::View mean(*run.mean, row, rows, Access::kRead);
    targets.View(mean.data());
    flight.Run(row, targets.Begin(flight.expected()), {},
               [&](size_t i, size_t, const float* input) { return targets.Of(i, input); });
    double& sum = sums.At(flight.Segment(row));
    for (size_t i = 0; i < rows; ++i) sum += run.negative_entropy[row + i] + flight.loss(i);
  }
  if (run.final_norm) run.final_norm->Join();
  return sums.Total();
}

}  // namespace struprune
