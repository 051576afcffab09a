#include "bench/kernels.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "bench/stopwatch.h"
#include "model/attend_windows.h"
#include "model/forward_steps.h"
#include "ops/packed_weights.h"
#include "tiles/cholesky.h"
#include "tiles/elementwise.h"
#include "tiles/statistics.h"

namespace struprune::bench {
namespace {

Buffer<float> Values(Context& context, size_t count) {
  auto values = context.Allocate<float>(count);
  Noise noise;
  for (float& value : std::span(values.data(), count)) value = noise.Next();
  return values;
}

// Every operation reads `x_` and writes `out_`, wide enough for all of them.
class Kernels {
 public:
  Kernels(const Block& block, const KernelRun& run)
      : block_(block),
        attention_layer_(block.sublayer(SublayersOf(block.spec()).attention)),
        ffn_layer_(block.sublayer(SublayersOf(block.spec()).ffn)),
        attention_(*attention_layer_.attention()),
        ffn_(*ffn_layer_.ffn()),
        norm_(ffn_layer_.spec().norm.value_or(NormSpec{})),
        hidden_(block.spec().hidden),
        run_(run),
        context_(block.context()),
        width_(std::max({hidden_, ffn_.width, attention_.q_width()})),
        x_(Values(context_, run.tokens * width_)),
        out_(Values(context_, run.tokens * width_)),
        third_(Values(context_, run.tokens * width_)) {
    // Operands are packed, as by a run that has the memory: up to three parts of two bytes, for
    // both sides of the Gram matrix or for two weights.
    context_.budget->Expect(context_.budget->used() + 16 * width_ * std::max(run.tokens, hidden_) +
                            16 * ffn_.width * ffn_.width);
  }

  std::vector<Timing> All() {
    for (const Sublayer& layer : {attention_layer_, ffn_layer_}) {
      for (const Part part : {Part::kQ, Part::kK, Part::kV, Part::kGate, Part::kUp, Part::kOut}) {
        if (layer.has(part)) LinearMap(layer, part);
      }
    }
    if (ffn_.gated) Hidden();
    Attention();
    Rotation();
    Normalisation();
    Activation();
    GramMatrix();
    Factors();
    return std::move(found_);
  }

 private:
  // Over chunks of tokens on all threads, as the forward pass runs it.
  void OnTokens(Timing about, const std::function<void(size_t first, size_t rows)>& work) {
    Time(std::move(about), [&] {
      ForChunks(context_, run_.tokens,
                [&](size_t first, size_t rows, size_t) { work(first, rows); });
    });
  }

  void Time(
      Timing about, const std::function<void()>& work,
      const std::function<void()>& prepare = [] {}) {
    const Lap lap = Repeat(run_.seconds, prepare, work);
    about.seconds = lap.seconds;
    about.repeats = lap.repeats;
    found_.push_back(std::move(about));
  }

  void LinearMap(const Sublayer& layer, Part part) {
    const auto [rows, cols] = layer.shape(part);
    const double weights = D(rows * cols), tokens = D(run_.tokens);
    OnTokens({"linear " + NameOf(block_.spec(), {layer.index(), part}),
              ShapeText(run_.tokens, cols) + " × " + ShapeText(cols, rows), "f32",
              2 * weights * tokens, 4 * (weights + tokens * D(rows + cols))},
             [&, out = rows, in = cols](size_t first, size_t count) {
               Product(layer, part, count, x_.data() + first * in, 0, out_.data() + first * out);
             });
  }

  // Gate, up and the activation of both, as a pass makes them; it packs the weights where it can.
  void Hidden() {
    const auto [rows, cols] = ffn_layer_.shape(Part::kUp);
    const double weights = 2 * D(rows * cols), tokens = D(run_.tokens), values = tokens * D(rows);
    auto gate = context_.Allocate<float>(run_.tokens * rows);
    const PackedWeights packed(context_, run_.tokens,
                               {ffn_layer_.matrix(Part::kUp), ffn_layer_.matrix(Part::kGate)});
    OnTokens(
        {"gate, up, activation", ShapeText(run_.tokens, cols) + " × 2 " + ShapeText(cols, rows),
         "f32", 2 * weights * tokens + 4 * values, 4 * (weights + tokens * D(cols) + values)},
        [&, out = rows, in = cols](size_t first, size_t count) {
          FfnHidden(ffn_layer_, count, x_.data() + first * in, gate.data() + first * out,
                    out_.data() + first * out);
        });
  }

  // Scores and their product with v over the keys that causality (and the sliding window) leaves.
  void Attention() {
    const size_t q = attention_.q_width(), kv = attention_.kv_width();
    const double tokens = D(run_.tokens), window = D(run_.window);
    const double seen =
        attention_.sliding ? std::min(D(attention_.sliding), (window + 1) / 2) : (window + 1) / 2;
    const AttentionShape shape = ShapeOf(attention_layer_, run_.window);
    const std::string name =
        std::to_string(run_.tokens / run_.window) + " × " + ShapeText(run_.window, q);
    const double product = 2 * D(q) * seen * tokens;
    std::vector<AttentionScratch> scratch(context_.pool.size());
    auto log_sum = context_.Allocate<float>(run_.tokens * attention_.heads());
    Time({"attention", name, "f32", 2 * product, 4 * tokens * D(2 * q + 2 * kv)}, [&] {
      AttendWindows(context_, shape, run_.tokens, x_.data(), third_.data(), third_.data(),
                    out_.data(), log_sum.data(), scratch);
    });
    // Scores again, gradients of the weights, and what both add to the gradients of q, k and v.
    auto grad_q = context_.Allocate<float>(run_.tokens * q);
    auto grad_k = context_.Allocate<float>(run_.tokens * kv);
    auto grad_v = context_.Allocate<float>(run_.tokens * kv);
    Time({"attention gradient", name, "f32", 5 * product, 4 * tokens * D(4 * q + 4 * kv)}, [&] {
      AttendWindowsBackward(context_, shape, run_.tokens, x_.data(), third_.data(), third_.data(),
                            out_.data(), log_sum.data(), x_.data(), grad_q.data(), grad_k.data(),
                            grad_v.data(), scratch);
    });
  }

  // Two products and a sum for either half.
  void Rotation() {
    if (!attention_.rope) return;
    const RopeTable table(context_, *attention_.rope, attention_.head_dim, run_.window);
    const size_t cols = attention_.q_width();
    const double values = D(run_.tokens * cols);
    OnTokens({"rope q", ShapeText(run_.tokens, cols), "f32", 3 * values, 8 * values},
             [&](size_t first, size_t rows) {
               table.Apply(rows, attention_.heads(), out_.data() + first * cols, cols, first,
                           run_.window);
             });
  }

  // A square and its sum, two products.
  void Normalisation() {
    const size_t cols = hidden_;
    const double values = D(run_.tokens * cols);
    const auto weight = Values(context_, cols);
    OnTokens({"norm", ShapeText(run_.tokens, cols), "f32", 4 * values, 8 * values},
             [&](size_t first, size_t rows) {
               Norm(norm_.kind, rows, cols, x_.data() + first * cols, cols, weight.data(), nullptr,
                    norm_.eps, out_.data() + first * cols, cols);
             });
  }

  // The exponential counts as one operation, as do the sum, the division and the products.
  void Activation() {
    const size_t cols = ffn_.width;
    const double values = D(run_.tokens * cols);
    OnTokens({ffn_.gated ? "gated activation" : "activation", ShapeText(run_.tokens, cols), "f32",
              (ffn_.gated ? 4 : 3) * values, (ffn_.gated ? 12 : 8) * values},
             [&](size_t first, size_t rows) {
               const size_t at = first * cols;
               Activate(ffn_.activation, rows * cols, ffn_.gated ? third_.data() + at : nullptr,
                        x_.data() + at, out_.data() + at);
             });
  }

  // XᵀX is symmetric: half of the products are useful.
  void GramMatrix() {
    const size_t n = ffn_.width;
    Statistics statistics(InMemory(block_.shared_context()), n, true, 0);
    Time({"gram", ShapeText(n, run_.tokens) + " × " + ShapeText(run_.tokens, n), "f32",
          D(run_.tokens) * D(n) * D(n), 4 * D(run_.tokens * n) + 8 * D(n) * D(n)},
         [&] { statistics.Add(0, run_.tokens, x_.data(), nullptr); });
  }

  // What the solvers do with a Gram matrix, in double and by tiles.
  void Factors() {
    const size_t n = ffn_.width, rows = hidden_;
    const TileSpace space = InMemory(block_.shared_context());
    TileMatrix<double> matrix(space, n, n, Shape::kSymmetric), right(space, rows, n);
    Fill(0.5, matrix);
    for (size_t i = 0; i < matrix.rows().tiles(); ++i) {
      const auto tile = matrix.Update(i, i);
      for (size_t r = 0; r < tile.rows; ++r) tile.row(r)[r] = D(n);
    }
    TileMatrix<double> work;
    bool positive = true;
    const auto reset = [&] { work = Copy(matrix); };
    const auto factor = [&] { positive = FactorCholesky(work) && positive; };
    const double cube = D(n) * D(n) * D(n), square = 8 * D(n) * D(n);
    Time({"cholesky", ShapeText(n, n), "f64", cube / 3, square}, factor, reset);
    Time(
        {"cholesky + inverse", ShapeText(n, n), "f64", cube, 1.5 * square},
        [&] {
          factor();
          InvertFactored(work);
        },
        reset);
    reset();
    factor();
    Time(
        {"triangular solves", ShapeText(rows, n) + " / " + ShapeText(n, n), "f64",
         2 * D(rows) * D(n) * D(n), square / 2 + 16 * D(rows * n)},
        [&] {
          SolveForward(work, right);
          SolveBackward(work, right);
        },
        [&] { Fill(1, right); });
    if (!positive) throw Error("ERR_INTERNAL", "a positive matrix was not factored");
  }

  const Block& block_;
  const Sublayer attention_layer_, ffn_layer_;
  const AttentionSpec attention_;
  const FeedForwardSpec ffn_;
  const NormSpec norm_;
  const size_t hidden_;
  const KernelRun& run_;
  Context& context_;
  const size_t width_;
  Buffer<float> x_, out_, third_;  // [tokens, width]
  std::vector<Timing> found_;
};

}  // namespace

std::string ShapeText(size_t rows, size_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

void RequireWholeWindows(const KernelRun& run) {
  if (run.window != 0 && run.tokens != 0 && run.tokens % run.window == 0) return;
  throw Error("ERR_ARGUMENT", "kernels are timed on whole windows of tokens",
              "choose --tokens as a multiple of --window");
}

Sublayers SublayersOf(const BlockSpec& spec) {
  const auto first = [&](auto is) {
    const auto found = std::ranges::find_if(spec.sublayers, is);
    if (found == spec.sublayers.end()) {
      throw Error("ERR_UNSUPPORTED", "kernels are timed on a block with an attention and an FFN",
                  "choose another model");
    }
    return static_cast<size_t>(found - spec.sublayers.begin());
  };
  return {first([](const SublayerSpec& s) { return s.attention() != nullptr; }),
          first([](const SublayerSpec& s) { return s.ffn() != nullptr; })};
}

std::vector<Timing> TimeKernels(const Block& block, const KernelRun& run) {
  RequireWholeWindows(run);
  return Kernels(block, run).All();
}

}  // namespace struprune::bench
