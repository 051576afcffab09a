#include "model/backward.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "model/attend_windows.h"
#include "model/forward.h"
#include "model/forward_steps.h"
#include "ops/finite.h"
#include "ops/packed_weights.h"
#include "ops/strip_product.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// grad_x[rows, cols of W] = grad_out[rows, rows of W] W, added to what is there when beta is 1.
void LinearBackward(const Sublayer& layer, Part weight, size_t rows, const float* grad_out,
                    float beta, float* grad_x) {
  StripProductBack(layer.context(), *layer.matrix(weight), rows, grad_out, beta, grad_x);
}

// Tokens that are on their way at once, in whole windows: a part of a page, since what they need is
// several times a page of hidden states.
constexpr size_t kFlightTokens = 2048;

// The matrices of a block that gradients go through.
constexpr Part kMaps[] = {Part::kQ, Part::kK, Part::kV, Part::kOut, Part::kUp, Part::kGate};

// The width of what a part's factors are summed in; 0 for parts without factors.
size_t FactorWidth(const Sublayer& layer, Part part) {
  switch (part) {
    case Part::kNorm:
    case Part::kStreamNorm:
    case Part::kQNorm:
    case Part::kKNorm:
    case Part::kOut:
    case Part::kOutBias:
    case Part::kOutNorm:
      return layer.has(part) ? layer.shape(part).cols : 0;
    default:
      return 0;
  }
}

// What is asked for of a sublayer beside the gradient.
struct Wanted {
  Wanted(const GradientSums& sums, const SublayerSpec& layer)
      : output(sums.output != nullptr),
        norm(Has(sums, layer.norm ? Part::kNorm : Part::kStreamNorm)),
        columns(Has(sums, Part::kOut)),
        bias(Has(sums, Part::kOutBias)),
        out_norm(Has(sums, Part::kOutNorm)) {
    for (const LowRank* change : sums.changes) rank = std::max(rank, change ? change->rank : 0);
  }
  Wanted(Factored factored, size_t rank)
      : output(factored != Factored::kOutputs),
        norm(factored == Factored::kAll),
        columns(factored != Factored::kNone),
        bias(norm),
        out_norm(norm),
        rank(rank) {}
  static bool Has(const GradientSums& sums, Part part) {
    return sums.factors[static_cast<size_t>(part)] != nullptr;
  }
  bool output, norm, columns, bias, out_norm;  // columns: factors of the output map's
  size_t rank = 0;                             // the largest of the changes; 0: none
};

// Numbers of the buffers that a sublayer has for a whole flight.
struct WorkCounts {
  // last: nothing of the block follows it.
  WorkCounts(const SublayerSpec& layer, size_t hidden, size_t window, size_t tokens, bool last,
             const Wanted& wanted) {
    if (wanted.norm) norm_factors = tokens * hidden;
    if (layer.out_norm) delta = tokens * hidden;
    if (layer.out_norm && wanted.out_norm) out_norm_factors = tokens * hidden;
    if (const FeedForwardSpec* ffn = layer.ffn()) {
      if (!last) x = tokens * ffn->width;
      const bool asked = wanted.output || wanted.bias || wanted.rank > 0;
      if (layer.stream_norm && asked) delta = tokens * hidden;
      return;
    }
    const AttentionSpec& spec = *layer.attention();
    x = q = tokens * spec.q_width();
    kv = tokens * spec.kv_width();
    if (wanted.rank > 0) read = tokens * hidden;
    log_sum = tokens * spec.heads();
    if (spec.head_norm) q_raw = q, k_raw = kv;
    if (spec.rope) angles = RopeTable::Count(*spec.rope, spec.head_dim, window);
  }
  // Of x, q and their gradients; of k, v and theirs.
  size_t Total() const {
    const size_t gradient = q > 0 ? x : 0;
    const size_t factors = norm_factors + out_norm_factors;
    return x + gradient + 2 * q + 4 * kv + q_raw + k_raw + read + log_sum + delta + factors +
           angles;
  }

  size_t x = 0, q = 0, kv = 0, q_raw = 0, k_raw = 0, read = 0, log_sum = 0, delta = 0;
  size_t norm_factors = 0, out_norm_factors = 0, angles = 0;
};

// Rows of a flight, and numbers of the buffers that its sublayers share.
struct FlightCounts {
  // Groups begin where sums have a page and products a step, on any number of threads.
  static size_t WholePages(const Context& context, size_t rows) {
    const size_t page = std::lcm(Statistics::kExactPage, context.row_step);
    return (rows + page - 1) / page * page;
  }
  // page: rows of a page; wanted: of each sublayer.
  FlightCounts(const Context& context, const BlockSpec& spec, size_t window, size_t page,
               const std::vector<Wanted>& wanted)
      : tokens(std::min(page, std::max<size_t>(1, kFlightTokens / window) * window)),
        group(std::min(tokens, WholePages(context, context.pool.size() * MostChunk(context)))),
        stream(group * spec.hidden),
        normed(std::max(group, WorkerRows(context, tokens)) * spec.hidden) {
    for (size_t i = 0; i < spec.sublayers.size(); ++i) {
      const SublayerSpec& layer = spec.sublayers[i];
      if (i > 0 && layer.input == BlockInput::kRead) aside = tokens * spec.hidden;
      const bool last = i + 1 == spec.sublayers.size();
      work.emplace_back(layer, spec.hidden, window, tokens, last, wanted[i]);
      if (wanted[i].bias) bias = tokens * spec.hidden;
      ranked = std::max(ranked, (layer.ffn() ? group : tokens) * wanted[i].rank);
      if (const FeedForwardSpec* ffn = layer.ffn()) {
        up = std::max(up, group * ffn->width);
        if (ffn->gated) gate = std::max(gate, group * ffn->width);
        if (wanted[i].columns || wanted[i].rank > 0) {
          grad_x = std::max(grad_x, group * ffn->width);
        }
      } else if (const AttentionSpec& a = *layer.attention(); a.head_norm) {
        head = std::max(head, WorkerRows(context, tokens) * std::max(a.q_width(), a.kv_width()));
      }
    }
  }
  size_t Total() const {
    size_t total = stream + 2 * normed + 2 * up + gate + grad_x + head + bias + aside + 2 * ranked;
    for (const WorkCounts& of : work) total += of.Total();
    return total;
  }

  size_t tokens, group;  // rows
  size_t stream, normed;
  size_t up = 0, gate = 0, grad_x = 0, head = 0, bias = 0, aside = 0, ranked = 0;
  std::vector<WorkCounts> work;
};

// A sublayer within one flight: what it keeps of its forward, and of its gradients.
struct Work {
  Work(const Sublayer& layer, const GradientSums& sums, const WorkCounts& n, size_t window)
      : layer(layer), attention(layer.attention()), ffn(layer.ffn()), sums(sums) {
    const auto allocate = [&](size_t count) { return layer.context().Allocate<float>(count); };
    x = allocate(n.x);
    if (attention) grad_x = allocate(n.x);
    for (auto* buffer : {&q, &grad_q}) *buffer = allocate(n.q);
    for (auto* buffer : {&k, &grad_k, &v, &grad_v}) *buffer = allocate(n.kv);
    q_raw = allocate(n.q_raw);
    k_raw = allocate(n.k_raw);
    read = allocate(n.read);
    log_sum = allocate(n.log_sum);
    delta = allocate(n.delta);
    norm_factors = allocate(n.norm_factors);
    out_norm_factors = allocate(n.out_norm_factors);
    if (n.angles > 0) rope.emplace(layer.context(), *attention->rope, attention->head_dim, window);
  }

  Statistics* factors(Part part) const { return sums.factors[static_cast<size_t>(part)]; }
  const LowRank* change(Part part) const { return sums.changes[static_cast<size_t>(part)]; }
  // Whether the output map's input is still wanted where its gradient is known.
  bool keeps_x() const { return factors(Part::kOut) || change(Part::kOut); }
  Part norm() const { return layer.spec().norm ? Part::kNorm : Part::kStreamNorm; }

  Sublayer layer;
  const AttentionSpec* attention;  // one of the two is null
  const FeedForwardSpec* ffn;
  const GradientSums& sums;
  std::optional<RopeTable> rope;
  // Of the whole flight: what goes into the output map (of the last FFN it is made by groups), and
  // what the attention needs; read: by q, k and v, where a change of them is to know it.
  Buffer<float> x, q, k, v, q_raw, k_raw, read, log_sum, grad_q, grad_k, grad_v, grad_x;
  // dL/dy where that is not the gradient of the stream; products of the norms' factors.
  Buffer<float> delta, norm_factors, out_norm_factors;
};

// Sums of every sublayer.
std::vector<GradientSums> SumsOf(const Block& block, const BackwardRun& run) {
  return run.sums.empty() ? std::vector<GradientSums>(block.sublayers()) : run.sums;
}

std::vector<Wanted> WantedOf(const Block& block, const std::vector<GradientSums>& sums) {
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < sums.size(); ++i) {
    wanted.emplace_back(sums[i], block.spec().sublayers[i]);
  }
  return wanted;
}

// Buffers of one flight, made once a call. Gradients go through the sublayers from the last to the
// first; the states between them are made anew from the block's input and the activations of those
// before. An FFN is run by groups of rows, a chunk each for the workers.
class GradientFlight {
 public:
  GradientFlight(const Block& block, const BackwardRun& run)
      : run_(run),
        context_(block.context()),
        hidden_(block.spec().hidden),
        sums_(SumsOf(block, run)),
        page_(FlightRows(run.window, run.gradient->rows(), {run.inputs, run.gradient})),
        n_(context_, block.spec(), run.window, page_, WantedOf(block, sums_)),
        segments_(run.gradient->rows(), page_),
        tokens_(n_.tokens),
        chunk_(ChunkRows(context_, tokens_)),
        group_(n_.group),
        scratch_(context_.pool.size()) {
    for (size_t i = 0; i < block.sublayers(); ++i) {
      work_.emplace_back(block.sublayer(i), sums_[i], n_.work[i], run.window);
    }
    const auto allocate = [&](size_t count) { return context_.Allocate<float>(count); };
    stream_ = allocate(n_.stream);
    for (auto* buffer : {&normed_, &grad_in_}) *buffer = allocate(n_.normed);
    for (auto* buffer : {&up_, &x_}) *buffer = allocate(n_.up);
    gate_ = allocate(n_.gate);
    grad_x_ = allocate(n_.grad_x);
    head_ = allocate(n_.head);
    bias_ = allocate(n_.bias);
    for (auto* buffer : {&ranked_x_, &ranked_grad_}) *buffer = allocate(n_.ranked);
    aside_ = allocate(n_.aside);
  }

  bool BeginsPage(size_t row) const { return row % page_ == 0; }

  // Of the flight that starts at `row`.
  size_t Rows(size_t row) const { return run_.gradient->Run(row, tokens_); }
  const Segments& segments() const { return segments_; }

  // How the flights of a page read the block's weights.
  std::vector<Scan> Weights() const {
    std::vector<Scan> scans;
    const auto grouped = [&](const Work& work, std::initializer_list<Part> parts) {
      const Scan scan = ScanOf(work.layer, 0, parts);
      for (size_t first = 0; first < tokens_; first += group_) {
        const size_t rows = std::min(group_, tokens_ - first);
        scans.push_back({scan.matrices, ChunkCount(context_, rows, 1)});
      }
    };
    const auto projections = [&](const Work& work) {
      scans.push_back(ScanOf(work.layer, tokens_, {Part::kQ, Part::kK, Part::kV}));
    };
    for (size_t row = 0; row < page_; row += tokens_) {
      for (const Work& work : work_) {
        if (work.attention) projections(work);
        if (&work != &work_.back()) grouped(work, {Part::kOut});
      }
      for (auto work = work_.rbegin(); work != work_.rend(); ++work) {
        if (work->ffn) {
          grouped(*work, {Part::kUp, Part::kGate});
          grouped(*work, {Part::kOut, Part::kUp, Part::kGate});
        } else {
          grouped(*work, {Part::kOut});
          projections(*work);
        }
      }
    }
    return scans;
  }

  void Run(size_t row) {
    const size_t rows = Rows(row);
    const PagedMatrix::View inputs(*run_.inputs, row, rows, Access::kRead);
    const PagedMatrix::View gradient(*run_.gradient, row, rows, Access::kUpdate);
    input_ = inputs.data();
    segment_ = segments_.At(row);
    std::fill_n(aside_.data(), aside_.empty() ? 0 : rows * hidden_, 0.0f);
    for (size_t i = 0; i < work_.size(); ++i) {
      if (work_[i].attention) {
        ForwardAttention(i, rows);
      } else if (i + 1 < work_.size()) {
        ForwardFfn(i, rows);
      }
    }
    for (size_t i = work_.size(); i-- > 0;) {
      work_[i].attention ? BackwardAttention(i, rows, gradient.data())
                         : BackwardFfn(i, rows, gradient.data());
      AddFactors(work_[i], work_[i].norm(), rows, work_[i].norm_factors.data());
      AddFactors(work_[i], Part::kOutNorm, rows, work_[i].out_norm_factors.data());
    }
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      if (!aside_.empty()) {
        for (size_t at = first * hidden_; at < (first + count) * hidden_; ++at) {
          gradient.data()[at] += aside_[at];
        }
      }
      if (AllFinite(gradient.data() + first * hidden_, count * hidden_)) return;
      throw Error(
          "ERR_NAN", "gradients are no longer finite",
          "the checkpoint may be damaged; another --layer-weights than fisher needs no gradients");
    });
  }

 private:
  // A worker's part of a buffer of chunks.
  float* OfWorker(Buffer<float>& buffer, size_t cols, size_t worker) {
    return buffer.data() + worker * chunk_ * cols;
  }

  // fn(at, row, count) over the chunks of a group, then done(first, rows) of the group; `at` is the
  // row in the group's buffers, `row` in the flight.
  template <typename Fn, typename Done>
  void EachGroup(size_t rows, Fn&& fn, Done&& done) {
    for (size_t first = 0; first < rows; first += group_) {
      const size_t count = std::min(group_, rows - first);
      ForChunks(
          context_, count, [&](size_t at, size_t some, size_t) { fn(at, first + at, some); }, 1);
      done(first, count);
    }
  }

  void AddFactors(const Work& work, Part part, size_t rows, const float* values) const {
    if (Statistics* to = work.factors(part)) to->Add(segment_, rows, values, nullptr);
  }

  // Of an output map that takes x[rows, cols] as its input, to which the loss has this gradient; x
  // is overwritten.
  void AddProducts(const Work& work, size_t rows, float* x, const float* gradient) {
    if (!work.factors(Part::kOut)) return;
    const size_t cols = work.layer.width();
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      for (size_t i = first * cols; i < (first + count) * cols; ++i) x[i] *= gradient[i];
    });
    AddFactors(work, Part::kOut, rows, x);
  }

  // Of a map with a change of low rank: x[rows, cols] is what it reads, gradient[rows, rows of W]
  // the loss's at what it gives.
  void AddChange(const Work& work, Part part, size_t rows, const float* x, const float* gradient) {
    const LowRank* const change = work.change(part);
    if (!change) return;
    const auto [outputs, inputs] = work.layer.shape(part);
    const size_t rank = change->rank;
    ForPieces(context_, rows, [&](size_t first, size_t count) {
      Gemm(Trans::kNo, Trans::kYes, count, rank, inputs, 1.0f, x + first * inputs, inputs,
           change->right.data(), inputs, 0.0f, ranked_x_.data() + first * rank, rank);
      Gemm(Trans::kNo, Trans::kNo, count, rank, outputs, 1.0f, gradient + first * outputs, outputs,
           change->left.data(), rank, 0.0f, ranked_grad_.data() + first * rank, rank);
    });
    // How long a group is depends on the threads.
    constexpr size_t page = Statistics::kExactPage;
    change->left_sums->Add(segment_, rows, ranked_x_.data(), gradient, page);
    change->right_sums->Add(segment_, rows, x, ranked_grad_.data(), page);
  }

  // What is wanted of delta[rows, hidden], the gradient at a sublayer's output.
  void AtOutput(const Work& work, size_t rows, const float* delta) {
    if (work.sums.output) work.sums.output->Add(segment_, rows, delta, nullptr);
    if (!work.factors(Part::kOutBias)) return;
    const float* bias = work.layer.data(Part::kOutBias);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      for (size_t i = first; i < first + count; ++i) {
        for (size_t j = 0; j < hidden_; ++j) {
          bias_[i * hidden_ + j] = delta[i * hidden_ + j] * bias[j];
        }
      }
    });
    AddFactors(work, Part::kOutBias, rows, bias_.data());
  }

  // Rows [row, row + count) of the stream before sublayer i: the block's input itself, or in
  // to[count, hidden]; scratch is as large.
  const float* StreamBefore(size_t i, size_t row, size_t count, float* to, float* scratch) {
    if (i == 0) return input_ + row * hidden_;
    const Work& last = work_[i - 1];
    const float* x = last.x.data() + row * last.layer.width();
    const float* before = StreamBefore(i - 1, row, count, to, scratch);
    if (before == to) {
      AddOutput(last.layer, count, x, to, scratch);
    } else {
      AddMap(last, count, before, x, to);
      StreamNorm(last.layer, count, to, to);
    }
    return to;
  }

  // The same of what its mixer reads: the block's input where it does so beside those before.
  const float* Read(size_t i, size_t row, size_t count, float* to, float* scratch) {
    return ReadsInput(i) ? input_ + row * hidden_ : StreamBefore(i, row, count, to, scratch);
  }
  bool ReadsInput(size_t i) const {
    return i == 0 || work_[i].layer.spec().input == BlockInput::kRead;
  }
  // Where the gradient of what a mixer reads is added up: that of the stream before it, or of the
  // block's input, which joins the stream's in front of all sublayers.
  float* GradientOf(size_t i, size_t row, float* grad) {
    return i > 0 && ReadsInput(i) ? aside_.data() + row * hidden_ : grad;
  }

  // to[count, hidden] = before + the output of x, without the stream's norm.
  void AddMap(const Work& work, size_t count, const float* before, const float* x, float* to) {
    Output(work.layer, count, x, to);
    for (size_t i = 0; i < count * hidden_; ++i) to[i] += before[i];
  }

  // grad += Jᵀ grad_out of a norm for rows [row, row + count) of the flight, x being its input;
  // factors of the flight, or none.
  void ThroughNorm(const NormSpec& norm, const float* weight, size_t row, size_t count,
                   const float* x, const float* grad_out, float* grad, Buffer<float>& factors) {
    if (!factors.empty()) {
      NormFactorsBackward(norm.kind, count, hidden_, x, weight, norm.eps, grad_out,
                          factors.data() + row * hidden_);
    }
    NormBackward(norm.kind, count, hidden_, x, weight, norm.eps, grad_out, grad);
  }

  // The same of the norm before the mixer.
  void ThroughMixerNorm(Work& work, size_t row, size_t count, const float* x, const float* grad_out,
                        float* grad) {
    ThroughNorm(*work.layer.spec().norm, work.layer.data(Part::kNorm), row, count, x, grad_out,
                grad, work.norm_factors);
  }

  // Of rows [row, row + count) of the flight: grad, dL/d(stream after), becomes the gradient of the
  // addition. Returns that of the output map's result. x is what the map reads of the stream
  // `before`; sum and scratch are [count, hidden].
  const float* ThroughOutput(Work& work, size_t row, size_t count, const float* before,
                             const float* x, float* grad, float* sum, float* scratch) {
    const SublayerSpec& spec = work.layer.spec();
    const size_t values = count * hidden_;
    if (spec.stream_norm) {
      AddMap(work, count, before, x, sum);
      std::copy_n(grad, values, scratch);
      std::fill_n(grad, values, 0.0f);
      ThroughNorm(*spec.stream_norm, work.layer.data(Part::kStreamNorm), row, count, sum, scratch,
                  grad, work.norm_factors);
    }
    if (work.delta.empty()) return grad;
    float* delta = work.delta.data() + row * hidden_;
    if (spec.out_norm) {
      Linear(work.layer, Part::kOut, Part::kOutBias, count, x, sum);
      std::fill_n(delta, values, 0.0f);
      ThroughNorm(*spec.out_norm, work.layer.data(Part::kOutNorm), row, count, sum, grad, delta,
                  work.out_norm_factors);
    } else {
      std::copy_n(grad, values, delta);
    }
    return delta;
  }

  void ForwardAttention(size_t i, size_t rows) {
    Work& work = work_[i];
    const AttentionSpec& spec = *work.attention;
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      float* scratch = OfWorker(normed_, hidden_, worker);
      const float* x =
          MixerInput(work.layer, count,
                     Read(i, first, count, scratch, OfWorker(grad_in_, hidden_, worker)), scratch);
      const auto at = [&](Buffer<float>& buffer, size_t cols) {
        return buffer.empty() ? nullptr : buffer.data() + first * cols;
      };
      Project(work.layer, work.rope ? &*work.rope : nullptr, run_.window, first, count, x,
              at(work.q, spec.q_width()), at(work.k, spec.kv_width()), at(work.v, spec.kv_width()),
              at(work.q_raw, spec.q_width()), at(work.k_raw, spec.kv_width()));
      if (!work.read.empty()) std::copy_n(x, count * hidden_, at(work.read, hidden_));
    });
    AttendWindows(context_, ShapeOf(work.layer, run_.window), rows, work.q.data(), work.k.data(),
                  work.v.data(), work.x.data(), work.log_sum.data(), scratch_);
    if (work.sums.input) work.sums.input->Add(segment_, rows, work.x.data(), nullptr);
  }

  // Of an FFN that others follow.
  void ForwardFfn(size_t i, size_t rows) {
    Work& work = work_[i];
    const size_t width = work.ffn->width;
    EachGroup(
        rows,
        [&](size_t at, size_t row, size_t count) {
          FfnForward(i, at, row, count);
          std::copy_n(x_.data() + at * width, count * width, work.x.data() + row * width);
        },
        [](size_t, size_t) {});
  }

  void BackwardFfn(size_t i, size_t rows, float* grad) {
    Work& work = work_[i];
    if (work.layer.spec().adds_plainly()) AtOutput(work, rows, grad);
    for (size_t first = 0; first < rows; first += group_) {
      const size_t count = std::min(group_, rows - first);
      const auto each = [&](auto&& fn) {
        ForChunks(
            context_, count, [&](size_t at, size_t some, size_t) { fn(at, first + at, some); }, 1);
      };
      each([&](size_t at, size_t row, size_t some) { FfnForward(i, at, row, some); });
      // How long a group is depends on the threads.
      if (work.sums.input) {
        work.sums.input->Add(segment_, count, x_.data(), nullptr, Statistics::kExactPage);
      }
      const bool plain = work.delta.empty();
      if (plain) AddChange(work, Part::kOut, count, x_.data(), grad + first * hidden_);
      each([&](size_t at, size_t row, size_t some) {
        FfnBackward(i, at, row, some, grad + row * hidden_);
      });
      if (!plain)
        AddChange(work, Part::kOut, count, x_.data(), work.delta.data() + first * hidden_);
      AddInputChanges(i, first, count);
      AddProducts(work, count, x_.data(), grad_x_.data());
    }
    if (!work.delta.empty()) AtOutput(work, rows, work.delta.data());
  }

  // Of gate and up, once their gradients lie in the group's buffers.
  void AddInputChanges(size_t i, size_t first, size_t count) {
    const Work& work = work_[i];
    const float* const stream = ReadsInput(i) ? input_ + first * hidden_ : stream_.data();
    const float* const read = work.layer.spec().norm ? normed_.data() : stream;
    AddChange(work, Part::kUp, count, read, up_.data());
    if (work.ffn->gated) AddChange(work, Part::kGate, count, read, gate_.data());
  }

  // What the FFN makes of rows [row, row + count) of the flight, kept at row `at` of the group's
  // buffers; what its output map reads only where something asks for it.
  void FfnForward(size_t i, size_t at, size_t row, size_t count) {
    const Work& work = work_[i];
    const size_t width = work.ffn->width;
    float* up = up_.data() + at * width;
    float* gate = work.ffn->gated ? gate_.data() + at * width : nullptr;
    const float* read =
        Read(i, row, count, stream_.data() + at * hidden_, grad_in_.data() + at * hidden_);
    const float* in = MixerInput(work.layer, count, read, normed_.data() + at * hidden_);
    UpAndGate(work.layer, count, in, up, gate);
    const bool last = i + 1 == work_.size();
    const bool plain = work.layer.spec().adds_plainly();
    if (last && plain && !work.sums.input && !work.keeps_x()) return;
    Activate(work.ffn->activation, count * width, gate, up, x_.data() + at * width);
  }

  // grad of the same rows: dL/d(stream after) -> dL/d(stream before).
  void FfnBackward(size_t i, size_t at, size_t row, size_t count, float* grad) {
    Work& work = work_[i];
    const size_t d = hidden_, width = work.ffn->width;
    const float* read = ReadsInput(i) ? input_ + row * d : stream_.data() + at * d;
    float* scratch = normed_.data() + at * d;
    float* grad_in = grad_in_.data() + at * d;
    float* x = x_.data() + at * width;
    float* up = up_.data() + at * width;
    float* gate = work.ffn->gated ? gate_.data() + at * width : nullptr;
    const float* delta = ThroughOutput(work, row, count, read, x, grad, grad_in, scratch);
    float* grad_x = work.keeps_x() ? grad_x_.data() + at * width : x;
    LinearBackward(work.layer, Part::kOut, count, delta, 0, grad_x);
    ActivateBackward(work.ffn->activation, count * width, gate, up, grad_x, gate, up);
    const bool normed = work.layer.spec().norm.has_value();
    float* const sum = GradientOf(i, row, grad);
    float* to = normed ? grad_in : sum;
    LinearBackward(work.layer, Part::kUp, count, up, normed ? 0 : 1, to);
    if (gate) LinearBackward(work.layer, Part::kGate, count, gate, 1, to);
    if (normed) ThroughMixerNorm(work, row, count, read, grad_in, sum);
  }

  void BackwardAttention(size_t i, size_t rows, float* grad) {
    Work& work = work_[i];
    const AttentionSpec& spec = *work.attention;
    const size_t width = spec.q_width();
    const bool plain = work.layer.spec().adds_plainly();
    EachGroup(
        rows,
        [&](size_t at, size_t row, size_t count) {
          const float* x = work.x.data() + row * width;
          const float* delta = grad + row * hidden_;
          if (!plain) {
            float* sum = grad_in_.data() + at * hidden_;
            const float* before = StreamBefore(i, row, count, stream_.data() + at * hidden_, sum);
            delta = ThroughOutput(work, row, count, before, x, grad + row * hidden_, sum,
                                  normed_.data() + at * hidden_);
          }
          LinearBackward(work.layer, Part::kOut, count, delta, 0, work.grad_x.data() + row * width);
        },
        [](size_t, size_t) {});
    const float* const delta = work.delta.empty() ? grad : work.delta.data();
    AtOutput(work, rows, delta);
    AddChange(work, Part::kOut, rows, work.x.data(), delta);
    AttendWindowsBackward(context_, ShapeOf(work.layer, run_.window), rows, work.q.data(),
                          work.k.data(), work.v.data(), work.x.data(), work.log_sum.data(),
                          work.grad_x.data(), work.grad_q.data(), work.grad_k.data(),
                          work.grad_v.data(), scratch_);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      ThroughProjections(i, first, count, grad + first * hidden_, worker);
    });
    AddChange(work, Part::kQ, rows, work.read.data(), work.grad_q.data());
    AddChange(work, Part::kK, rows, work.read.data(), work.grad_k.data());
    AddChange(work, Part::kV, rows, work.read.data(), work.grad_v.data());
    AddProducts(work, rows, work.x.data(), work.grad_x.data());
    if (!spec.head_norm) return;
    const auto norms = [&](size_t heads) {
      return rows * heads * spec.head_dim / spec.normed(heads);
    };
    AddFactors(work, Part::kQNorm, norms(spec.heads()), work.q_raw.data());
    AddFactors(work, Part::kKNorm, norms(spec.kv_heads), work.k_raw.data());
  }

  // grad: dL/d(stream after the attention's output was added) -> dL/d(stream before), by the
  // gradients of q, k and v.
  void ThroughProjections(size_t i, size_t first, size_t count, float* grad, size_t worker) {
    Work& work = work_[i];
    const AttentionSpec& spec = *work.attention;
    float* grad_q = work.grad_q.data() + first * spec.q_width();
    float* grad_k = work.grad_k.data() + first * spec.kv_width();
    if (work.rope) {
      work.rope->Apply(count, spec.heads(), grad_q, spec.q_width(), first, run_.window, -1);
      work.rope->Apply(count, spec.kv_heads, grad_k, spec.kv_width(), first, run_.window, -1);
    }
    if (spec.head_norm) {
      ThroughHeadNorm(work, Part::kQNorm, count, spec.heads(),
                      work.q_raw.data() + first * spec.q_width(), grad_q, worker);
      ThroughHeadNorm(work, Part::kKNorm, count, spec.kv_heads,
                      work.k_raw.data() + first * spec.kv_width(), grad_k, worker);
    }
    const bool normed = work.layer.spec().norm.has_value();
    float* const own = OfWorker(grad_in_, hidden_, worker);
    float* const scratch = OfWorker(normed_, hidden_, worker);
    const float* read = normed ? Read(i, first, count, scratch, own) : nullptr;
    float* const sum = GradientOf(i, first, grad);
    float* grad_in = normed ? own : sum;
    LinearBackward(work.layer, Part::kQ, count, grad_q, normed ? 0 : 1, grad_in);
    LinearBackward(work.layer, Part::kK, count, grad_k, 1, grad_in);
    LinearBackward(work.layer, Part::kV, count, work.grad_v.data() + first * spec.kv_width(), 1,
                   grad_in);
    if (normed) ThroughMixerNorm(work, first, count, read, grad_in, sum);
  }

  // Leaves what the norm's factors have of it in `raw`.
  void ThroughHeadNorm(const Work& work, Part weight, size_t count, size_t heads, float* raw,
                       float* grad, size_t worker) {
    const size_t values = count * heads * work.attention->head_dim;
    const size_t width = work.attention->normed(heads);
    const NormSpec& norm = *work.attention->head_norm;
    float* from = head_.data() + worker * (head_.size() / context_.pool.size());
    std::copy_n(grad, values, from);
    std::fill_n(grad, values, 0.0f);
    NormBackward(norm.kind, values / width, width, raw, work.layer.data(weight), norm.eps, from,
                 grad);
    if (!work.factors(weight)) return;
    NormFactorsBackward(norm.kind, values / width, width, raw, work.layer.data(weight), norm.eps,
                        from, raw);
  }

  const BackwardRun& run_;
  Context& context_;
  const size_t hidden_;
  const std::vector<GradientSums> sums_;
  const size_t page_;
  const FlightCounts n_;
  const Segments segments_;
  size_t segment_ = 0;  // of the flight
  const size_t tokens_;
  const size_t chunk_;  // most rows of a task, but for a group's
  const size_t group_;  // rows of an FFN's buffers: a chunk a worker
  std::vector<AttentionScratch> scratch_;
  std::vector<Work> work_;
  const float* input_ = nullptr;  // of the flight, [rows, hidden]
  // Of a group, of a chunk a worker, or of either.
  Buffer<float> stream_, up_, gate_, x_, grad_x_, head_, normed_, grad_in_;
  Buffer<float> bias_;                    // of the flight
  Buffer<float> ranked_x_, ranked_grad_;  // of a flight or a group, as many numbers as the rank
  Buffer<float> aside_;  // the same: the gradient of the block's input by who reads it beside
};

void CheckChange(const Block& block, TensorId id, const GradientSums& sums) {
  const LowRank* const change = sums.changes[static_cast<size_t>(id.part)];
  if (!change) return;
  const PagedMatrix* const matrix = block.matrix(id);
  const size_t rank = change->rank;
  const auto fits = [](const Statistics* sums, size_t dim, size_t residual) {
    return sums && sums->dim() == dim && sums->residual_dim() == residual;
  };
  if (matrix && rank > 0 && change->left.size() == matrix->rows() * rank &&
      change->right.size() == rank * matrix->cols() &&
      fits(change->left_sums, rank, matrix->rows()) &&
      fits(change->right_sums, matrix->cols(), rank)) {
    return;
  }
  throw Error("ERR_ARGUMENT", "a change of " + NameOf(block.spec(), id) +
                                  " and its sums must have the matrix's rows and columns");
}

void CheckSums(const Block& block, const BackwardRun& run) {
  const auto check = [](const Statistics* statistics, size_t width, const std::string& what) {
    if (!statistics || (statistics->dim() == width && statistics->residual_dim() == 0)) return;
    throw Error("ERR_ARGUMENT", "statistics of " + what + " must be [" + std::to_string(width) +
                                    "] wide, without cross products");
  };
  if (!run.sums.empty() && run.sums.size() != block.sublayers()) {
    throw Error("ERR_ARGUMENT", "sums are of every sublayer or of none");
  }
  for (size_t i = 0; i < run.sums.size(); ++i) {
    const Sublayer layer = block.sublayer(i);
    check(run.sums[i].output, layer.hidden(), layer.spec().name + "'s gradients");
    check(run.sums[i].input, layer.width(), layer.spec().name + "'s inputs");
    for (size_t p = 0; p < kParts; ++p) {
      if (!run.sums[i].factors[p]) continue;
      const Part part = static_cast<Part>(p);
      const size_t width = FactorWidth(layer, part);
      const std::string what = NameOf(block.spec(), {i, part}) + "'s factors";
      if (width == 0) throw Error("ERR_ARGUMENT", "the block has no " + what);
      check(run.sums[i].factors[p], width, what);
    }
    for (size_t p = 0; p < kParts; ++p) CheckChange(block, {i, static_cast<Part>(p)}, run.sums[i]);
  }
}

// All that it sums.
std::vector<Statistics*> AllSums(const BackwardRun& run) {
  std::vector<Statistics*> all;
  for (const GradientSums& sums : run.sums) {
    all.insert(all.end(), {sums.output, sums.input});
    all.insert(all.end(), sums.factors.begin(), sums.factors.end());
    for (const LowRank* change : sums.changes) {
      if (change) all.insert(all.end(), {change->left_sums, change->right_sums});
    }
  }
  std::erase(all, nullptr);
  return all;
}

// What the pass multiplies by, and by whose transpose.
PackedWeights PackedFor(const Block& block, size_t tokens) {
  std::vector<PagedMatrix*> forward, backward;
  for (size_t i = 0; i < block.sublayers(); ++i) {
    const Sublayer layer = block.sublayer(i);
    const bool last = i + 1 == block.sublayers();
    for (const Part part : kMaps) {
      PagedMatrix* const matrix = layer.matrix(part);
      if (!matrix) continue;
      backward.push_back(matrix);
      if (part != Part::kOut || !last || !layer.spec().adds_plainly()) forward.push_back(matrix);
    }
  }
  return PackedWeights(block.context(), tokens, forward, backward);
}

void RefuseForwardAlone(const BlockSpec& spec) {
  for (const SublayerSpec& layer : spec.sublayers) {
    if (!layer.experts() && !layer.forward_alone()) continue;
    const std::string what = layer.experts()       ? "experts"
                             : layer.convolution() ? "short convolutions"
                                                   : "gated delta rules and gated attention";
    throw Error("ERR_UNSUPPORTED", "gradients do not go through " + what,
                "choose what needs none: --layer-weights probe, no --tune-tokens");
  }
}

// Of all matrices.
size_t RowsAndColumns(const BlockSpec& spec) {
  size_t sum = 0;
  for (const SublayerSpec& layer : spec.sublayers) {
    for (const Part part : kMaps) {
      if (const auto shape = ShapeOf(layer, spec.hidden, part)) sum += shape->rows + shape->cols;
    }
  }
  return sum;
}

}  // namespace

Needs BackwardNeeds(const Context& context, const BlockSpec& spec, size_t window,
                    const TokenPages& tokens, std::span<const Statistics::Sizes> sums,
                    Factored factored, size_t rank) {
  RefuseForwardAlone(spec);
  const std::vector<Wanted> wanted(spec.sublayers.size(), Wanted(factored, rank));
  const FlightCounts n(context, spec, window, tokens.flight(), wanted);
  Needs needs = HeldFloats(n.Total()) + tokens.View(2 * spec.hidden);
  needs += Statistics::WaitingNeeds(context, sums, tokens);
  // The forward again, and as much back.
  needs.float_flops = 2 * BlockFlops(spec, tokens.rows, window);
  const size_t changes = rank * RowsAndColumns(spec);
  needs += HeldFloats(changes);
  needs.float_flops += 4 * static_cast<double>(changes) * static_cast<double>(tokens.rows);
  return needs;
}

void BackwardBlock(const Block& block, const BackwardRun& run) {
  RefuseForwardAlone(block.spec());
  const size_t tokens = run.gradient->rows(), hidden = block.spec().hidden;
  if (run.window == 0 || tokens % run.window != 0) {
    throw Error("ERR_ARGUMENT", "gradients must hold whole windows");
  }
  if (run.inputs->cut().every > 0) throw Error("ERR_INTERNAL", "gradients of cut windows");
  if (run.inputs->rows() < tokens || run.inputs->cols() != hidden ||
      run.gradient->cols() != hidden) {
    throw Error("ERR_ARGUMENT", "inputs must hold the tokens of the gradient and be as wide");
  }
  CheckSums(block, run);
  GradientFlight flight(block, run);
  const std::vector<Statistics*> sums = AllSums(run);
  size_t unmade = 0;
  for (const Statistics* each : sums) unmade += each->Unmade(flight.segments());
  const PendingBytes pending(*block.context().budget, unmade);
  const PackedWeights packed = PackedFor(block, tokens);
  const std::vector<Scan> weights = flight.Weights();
  for (size_t row = 0; row < tokens; row += flight.Rows(row)) {
    if (flight.BeginsPage(row)) {
      AnnounceFlights(row, tokens, {{run.inputs, Access::kRead}, {run.gradient, Access::kUpdate}},
                      weights);
    }
    flight.Run(row);
  }
  for (Statistics* each : sums) each->Join();
}

}  // namespace struprune
