#include "model/head_gradient.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/forward_steps.h"
#include "ops/finite.h"
#include "ops/softmax.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

constexpr size_t kFlightRows = 2048;
// Vocabulary columns of one logits product; bounds a worker's scratch.
constexpr size_t kColumns = 1024;
static_assert(kVocabularyTile % kColumns == 0);

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
  HeadInputBackward(Context& context, const EndsSpec& spec) : spec_(spec) {
    const auto load = [&](const std::optional<TensorSource>& source, Buffer<float>& to) {
      if (!source) return;
      to = context.Allocate<float>(source->rows * source->cols);
      LoadStored(spec, *source, 0, source->rows, to.data());
    };
    load(spec.final_norm, norm_);
    load(spec.project_out, projection_);
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
  Buffer<float> norm_, projection_;
};

// d(NLL)/d(input of the head) = softmax(logits) W − W[label]. The sum over the vocabulary runs with
// the softmax's own running maximum, so that one pass over the table gives both.
class Flight {
 public:
  Flight(Context& context, const EndsSpec& spec, const HeadGradientRun& run)
      : context_(context),
        spec_(spec),
        run_(run),
        rows_(std::min(kFlightRows, run.gradient->rows())),
        width_(spec.embedding_width),
        forward_(context, spec),
        backward_(context, spec),
        states_(rows_),
        nll_(rows_) {
    const size_t workers = context.pool.size();
    inputs_ = context.Allocate<float>(rows_ * width_);
    sums_ = context.Allocate<float>(rows_ * width_);
    scratch_ = context.Allocate<float>(workers * kChunk * spec.hidden);
    weights_ = context.Allocate<float>(workers * kChunk * kColumns);
    label_rows_ = context.Allocate<float>(workers * width_);
  }

  // Of the flight that starts at `row`.
  size_t Rows(size_t row) const { return run_.gradient->Run(row, run_.hidden->Run(row, rows_)); }

  void Run(size_t row, HeadLoss& loss) {
    const size_t rows = Rows(row), d = spec_.hidden;
    const PagedMatrix::View hidden(*run_.hidden, row, rows, Access::kRead);
    const PagedMatrix::View gradient(*run_.gradient, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      forward_.Compute(count, hidden.data() + first * d, scratch_.data() + worker * kChunk * d,
                       inputs_.data() + first * width_);
      std::fill_n(sums_.data() + first * width_, count * width_, 0.0f);
      for (size_t i = first; i < first + count; ++i) {
        const bool drawn = run_.labels == Labels::kSampled;
        states_[i] = {{}, drawn ? -1 : run_.targets[row + i]};
      }
    });
    ForVocabularyTiles(context_, spec_, [&](size_t tile, size_t count, const float* table) {
      ForChunks(context_, rows, [&](size_t first, size_t n, size_t worker) {
        for (size_t col = 0; col < count; col += kColumns) {
          AddPiece(row, first, n, tile + col, std::min(kColumns, count - col), table + col * width_,
                   worker);
        }
      });
    });
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      for (size_t i = first; i < first + count; ++i) Finish(i, run_.targets[row + i] >= 0, worker);
      float* grad = gradient.data() + first * d;
      backward_.Compute(count, hidden.data() + first * d, sums_.data() + first * width_,
                        scratch_.data() + worker * kChunk * d, grad);
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
  struct State {
    RunningSoftmax softmax;
    int32_t label = -1;
  };

  // Rows [first, first + count) of the flight, vocabulary [column, column + columns).
  void AddPiece(size_t row, size_t first, size_t count, size_t column, size_t columns,
                const float* table, size_t worker) {
    float* weights = weights_.data() + worker * kChunk * kColumns;
    float* sums = sums_.data() + first * width_;
    Gemm(Trans::kNo, Trans::kYes, count, columns, width_, 1.0f, inputs_.data() + first * width_,
         width_, table, width_, 0.0f, weights, columns);
    for (size_t i = 0; i < count; ++i) {
      State& state = states_[first + i];
      float* own = weights + i * columns;
      double piece = 0;
      const float shrink = SoftmaxPiece(columns, own, state.softmax, piece);
      for (size_t j = 0; j < width_; ++j) sums[i * width_ + j] *= shrink;
      if (run_.labels == Labels::kSampled) {
        DrawLabel(row + first + i, column, columns, own, piece, state);
      }
    }
    Gemm(Trans::kNo, Trans::kNo, count, width_, columns, 1.0f, weights, columns, table, width_,
         1.0f, sums, width_);
  }

  // A draw from a distribution that arrives in pieces: each piece takes the label over with its
  // share of all seen so far, which leaves every token its own probability in the end.
  void DrawLabel(size_t token, size_t column, size_t columns, const float* weights, double piece,
                 State& state) {
    const uint64_t number = column / kColumns;
    const bool keep = Uniform(run_.seed, token, number, 0) * state.softmax.sum >= piece;
    if (keep && state.label >= 0) return;
    state.label = static_cast<int32_t>(
        column + Draw(columns, weights, piece, Uniform(run_.seed, token, number, 1)));
  }

  // sums -> softmax · W − W[label] of one row, and its NLL.
  void Finish(size_t i, bool has_target, size_t worker) {
    float* grad = sums_.data() + i * width_;
    if (!has_target) {
      std::fill_n(grad, width_, 0.0f);
      return;
    }
    const State& state = states_[i];
    float* label = label_rows_.data() + worker * width_;
    LoadStored(spec_, spec_.head_source(), static_cast<size_t>(state.label), 1, label);
    const float* input = inputs_.data() + i * width_;
    const float inverse = static_cast<float>(1 / state.softmax.sum);
    double logit = 0;
    for (size_t j = 0; j < width_; ++j) {
      logit += static_cast<double>(input[j]) * label[j];
      grad[j] = grad[j] * inverse - label[j];
    }
    nll_[i] = state.softmax.maximum + std::log(state.softmax.sum) - logit;
  }

  Context& context_;
  const EndsSpec& spec_;
  const HeadGradientRun& run_;
  const size_t rows_, width_;
  const HeadInput forward_;
  const HeadInputBackward backward_;
  std::vector<State> states_;
  std::vector<double> nll_;
  Buffer<float> inputs_, sums_, scratch_, weights_, label_rows_;
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

HeadLoss HeadGradient(Context& context, const EndsSpec& spec, const HeadGradientRun& run) {
  Check(spec, run);
  HeadLoss loss;
  Flight flight(context, spec, run);
  AnnounceFlights(run.gradient->rows(),
                  {{run.hidden, Access::kRead}, {run.gradient, Access::kWrite}});
  for (size_t row = 0; row < run.gradient->rows(); row += flight.Rows(row)) {
    flight.Run(row, loss);
  }
  return loss;
}

}  // namespace struprune
