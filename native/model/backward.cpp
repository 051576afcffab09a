#include "model/backward.h"

#include <algorithm>
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
void LinearBackward(const Block& block, Role weight, size_t rows, const float* grad_out, float beta,
                    float* grad_x) {
  StripProductBack(block.context(), *block.matrix(weight), rows, grad_out, beta, grad_x);
}

// Tokens that are on their way at once, in whole windows: a part of a page, since what they need is
// several times a page of hidden states.
constexpr size_t kFlightTokens = 2048;

// Numbers of the buffers of a flight.
struct FlightCounts {
  // page: rows of a page. at_ffn: the deltas there are asked for.
  FlightCounts(const Context& context, const BlockSpec& spec, size_t window, size_t page,
               bool at_ffn)
      : tokens(std::min(page, std::max<size_t>(1, kFlightTokens / window) * window)),
        group(std::min(tokens, context.pool.size() * kChunk)),
        q(tokens * spec.heads * spec.head_dim),
        kv(tokens * spec.kv_heads * spec.head_dim),
        log_sum(tokens * spec.heads),
        stream(group * spec.hidden),
        normed(std::max(group, WorkerRows(context, tokens)) * spec.hidden),
        up(group * spec.ffn),
        gate(spec.gated ? up : 0),
        delta(spec.post_norm && at_ffn ? tokens * spec.hidden : 0),
        angles(spec.rope ? RopeTable::Count(spec.head_dim, window) : 0) {
    if (!spec.qk_norm) return;
    q_raw = q, k_raw = kv;
    head = WorkerRows(context, tokens) * std::max(spec.heads, spec.kv_heads) * spec.head_dim;
  }
  size_t Total() const {
    return 4 * q + 4 * kv + q_raw + k_raw + head + log_sum + stream + 2 * normed + 2 * up + gate +
           delta + angles;
  }

  size_t tokens, group;  // rows
  size_t q, kv, log_sum, stream, normed, up, gate, delta, angles;
  size_t q_raw = 0, k_raw = 0, head = 0;
};

// Buffers of one flight, made once a call.
class GradientFlight {
 public:
  GradientFlight(const Block& block, const BackwardRun& run)
      : block_(block),
        spec_(block.spec()),
        run_(run),
        context_(block.context()),
        page_(FlightRows(run.window, run.gradient->rows(), {run.inputs, run.gradient})),
        n_(context_, spec_, run.window, page_, run.at_ffn != nullptr),
        tokens_(n_.tokens),
        width_(spec_.heads * spec_.head_dim),
        kv_width_(spec_.kv_heads * spec_.head_dim),
        chunk_(ChunkRows(context_, tokens_)),
        group_(n_.group),
        scratch_(context_.pool.size()) {
    const auto allocate = [&](size_t count) { return context_.Allocate<float>(count); };
    for (auto* buffer : {&q_, &grad_q_, &out_, &grad_out_}) *buffer = allocate(n_.q);
    for (auto* buffer : {&k_, &grad_k_, &v_, &grad_v_}) *buffer = allocate(n_.kv);
    q_raw_ = allocate(n_.q_raw);
    k_raw_ = allocate(n_.k_raw);
    head_ = allocate(n_.head);
    log_sum_ = allocate(n_.log_sum);
    stream_ = allocate(n_.stream);
    for (auto* buffer : {&normed_, &grad_in_}) *buffer = allocate(n_.normed);
    for (auto* buffer : {&up_, &x_}) *buffer = allocate(n_.up);
    gate_ = allocate(n_.gate);
    delta_ = allocate(n_.delta);
    if (spec_.rope) rope_.emplace(context_, *spec_.rope, spec_.head_dim, run.window);
  }

  bool BeginsPage(size_t row) const { return row % page_ == 0; }

  // Of the flight that starts at `row`.
  size_t Rows(size_t row) const { return run_.gradient->Run(row, tokens_); }

  // How the flights of a page read the block's weights.
  std::vector<Scan> Weights() const {
    const Scan projections = ScanOf(block_, tokens_, {Role::kQ, Role::kK, Role::kV});
    const Scan forward = ScanOf(block_, 0, {Role::kO, Role::kUp, Role::kGate});
    const Scan backward =
        spec_.post_norm
            ? ScanOf(block_, 0, {Role::kDown, Role::kDown, Role::kUp, Role::kGate, Role::kO})
            : ScanOf(block_, 0, {Role::kDown, Role::kUp, Role::kGate, Role::kO});
    std::vector<Scan> scans;
    for (size_t row = 0; row < page_; row += tokens_) {
      scans.push_back(projections);
      for (size_t first = 0; first < tokens_; first += group_) {
        const size_t rows = std::min(group_, tokens_ - first);
        for (const Scan& scan : {forward, backward}) {
          scans.push_back({scan.matrices, ChunkCount(context_, rows, 1)});
        }
      }
      scans.push_back(projections);
    }
    return scans;
  }

  void Run(size_t row) {
    const size_t rows = Rows(row);
    const PagedMatrix::View inputs(*run_.inputs, row, rows, Access::kRead);
    const PagedMatrix::View gradient(*run_.gradient, row, rows, Access::kUpdate);
    const float* h = inputs.data();
    float* grad = gradient.data();
    const AttentionShape shape = ShapeOf(spec_, run_.window);

    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      ProjectAgain(first, count, h, worker);
    });
    AttendWindows(context_, shape, rows, q_.data(), k_.data(), v_.data(), out_.data(),
                  log_sum_.data(), scratch_);
    if (run_.into_attention) run_.into_attention->Add(rows, out_.data(), nullptr);
    if (!spec_.post_norm && run_.at_ffn) run_.at_ffn->Add(rows, grad, nullptr);
    for (size_t first = 0; first < rows; first += group_) {
      FfnGroup(first, std::min(group_, rows - first), h, grad);
    }
    if (spec_.post_norm && run_.at_ffn) run_.at_ffn->Add(rows, delta_.data(), nullptr);
    if (run_.at_attention) run_.at_attention->Add(rows, grad, nullptr);
    AttendWindowsBackward(context_, shape, rows, q_.data(), k_.data(), v_.data(), out_.data(),
                          log_sum_.data(), grad_out_.data(), grad_q_.data(), grad_k_.data(),
                          grad_v_.data(), scratch_);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      ThroughProjections(first, count, h, grad, worker);
    });
  }

 private:
  // A worker's part of a buffer of chunks.
  float* Part(Buffer<float>& buffer, size_t cols, size_t worker) {
    return buffer.data() + worker * chunk_ * cols;
  }

  // Rows [first, first + rows) of the flight through the FFN and back; a chunk each for the
  // workers.
  void FfnGroup(size_t first, size_t rows, const float* h, float* grad) {
    const auto each = [&](auto&& fn) {
      ForChunks(context_, rows, [&](size_t at, size_t count, size_t) { fn(at, count); }, 1);
    };
    each([&](size_t at, size_t count) { FfnForward(at, first + at, count, h); });
    if (run_.into_ffn) run_.into_ffn->Add(rows, x_.data(), nullptr);
    each([&](size_t at, size_t count) {
      float* own = grad + (first + at) * spec_.hidden;
      FfnBackward(at, first + at, count, own);
      LinearBackward(block_, Role::kO, count, own, 0, grad_out_.data() + (first + at) * width_);
    });
  }

  void ProjectAgain(size_t first, size_t count, const float* h, size_t worker) {
    const float* x = SiteInput(block_, SiteKind::kAttention, count, h + first * spec_.hidden,
                               Part(normed_, spec_.hidden, worker));
    Project(block_, rope_ ? &*rope_ : nullptr, run_.window, first, count, x,
            q_.data() + first * width_, k_.data() + first * kv_width_,
            v_.data() + first * kv_width_, spec_.qk_norm ? q_raw_.data() + first * width_ : nullptr,
            spec_.qk_norm ? k_raw_.data() + first * kv_width_ : nullptr);
  }

  // stream[count, hidden] = before + the site's output map of x, without the norm of a post-norm
  // block.
  void AddMap(SiteKind site, size_t count, const float* before, const float* x, float* stream) {
    Linear(block_, OutputRole(site), OutputBiasRole(site), count, x, stream);
    for (size_t i = 0; i < count * spec_.hidden; ++i) stream[i] += before[i];
  }

  // grad <- Jᵀ grad of the norm that follows a site of a post-norm block, x being the norm's input.
  void ThroughPostNorm(SiteKind site, size_t count, const float* x, float* grad, float* scratch) {
    std::copy_n(grad, count * spec_.hidden, scratch);
    std::fill_n(grad, count * spec_.hidden, 0.0f);
    NormBackward(spec_.norm, count, spec_.hidden, x, block_.data(NormRole(site)), spec_.eps,
                 scratch, grad);
  }

  static Role NormRole(SiteKind site) {
    return site == SiteKind::kAttention ? Role::kAttnNorm : Role::kFfnNorm;
  }

  // What the FFN makes of rows [row, row + count) of the flight, kept at row `at` of the group's
  // buffers.
  void FfnForward(size_t at, size_t row, size_t count, const float* h) {
    const size_t d = spec_.hidden;
    float* middle = stream_.data() + at * d;
    float* normed = normed_.data() + at * d;
    float* up = up_.data() + at * spec_.ffn;
    float* gate = spec_.gated ? gate_.data() + at * spec_.ffn : nullptr;
    AddMap(SiteKind::kAttention, count, h + row * d, out_.data() + row * width_, middle);
    Norm(spec_.norm, count, d, middle, d,
         block_.data(spec_.post_norm ? Role::kAttnNorm : Role::kFfnNorm),
         block_.data(spec_.post_norm ? Role::kAttnNormBias : Role::kFfnNormBias), spec_.eps, normed,
         d);
    UpAndGate(block_, count, normed, up, gate);
    if (spec_.post_norm || run_.into_ffn) {
      Activate(spec_.activation, count * spec_.ffn, gate, up, x_.data() + at * spec_.ffn);
    }
  }

  // grad of the same rows: dL/d(block's output) -> dL/d(y of attention), method.md's delta of the
  // attention.
  void FfnBackward(size_t at, size_t row, size_t count, float* grad) {
    const size_t d = spec_.hidden;
    const float* middle = stream_.data() + at * d;
    float* normed = normed_.data() + at * d;
    float* grad_in = grad_in_.data() + at * d;
    float* x = x_.data() + at * spec_.ffn;
    float* up = up_.data() + at * spec_.ffn;
    float* gate = spec_.gated ? gate_.data() + at * spec_.ffn : nullptr;
    if (spec_.post_norm) {
      AddMap(SiteKind::kFfn, count, normed, x, grad_in);
      ThroughPostNorm(SiteKind::kFfn, count, grad_in, grad, normed);
      if (run_.at_ffn) std::copy_n(grad, count * d, delta_.data() + row * d);
    }
    LinearBackward(block_, Role::kDown, count, grad, 0, x);
    ActivateBackward(spec_.activation, count * spec_.ffn, gate, up, x, gate, up);
    if (spec_.post_norm) {
      LinearBackward(block_, Role::kUp, count, up, 1, grad);
      if (gate) LinearBackward(block_, Role::kGate, count, gate, 1, grad);
      ThroughPostNorm(SiteKind::kAttention, count, middle, grad, normed);
    } else {
      LinearBackward(block_, Role::kUp, count, up, 0, grad_in);
      if (gate) LinearBackward(block_, Role::kGate, count, gate, 1, grad_in);
      NormBackward(spec_.norm, count, d, middle, block_.data(Role::kFfnNorm), spec_.eps, grad_in,
                   grad);
    }
  }

  // grad: dL/d(y of attention) -> dL/d(block's input), by the gradients of q, k and v.
  void ThroughProjections(size_t first, size_t count, const float* h, float* grad, size_t worker) {
    const size_t d = spec_.hidden;
    h += first * d;
    grad += first * d;
    float* grad_q = grad_q_.data() + first * width_;
    float* grad_k = grad_k_.data() + first * kv_width_;
    if (rope_) {
      rope_->Apply(count, spec_.heads, grad_q, width_, first, run_.window, -1);
      rope_->Apply(count, spec_.kv_heads, grad_k, kv_width_, first, run_.window, -1);
    }
    if (spec_.qk_norm) {
      ThroughHeadNorm(Role::kQNorm, count, spec_.heads, q_raw_.data() + first * width_, grad_q,
                      worker);
      ThroughHeadNorm(Role::kKNorm, count, spec_.kv_heads, k_raw_.data() + first * kv_width_,
                      grad_k, worker);
    }
    float* grad_in = spec_.post_norm ? grad : Part(grad_in_, d, worker);
    LinearBackward(block_, Role::kQ, count, grad_q, spec_.post_norm ? 1 : 0, grad_in);
    LinearBackward(block_, Role::kK, count, grad_k, 1, grad_in);
    LinearBackward(block_, Role::kV, count, grad_v_.data() + first * kv_width_, 1, grad_in);
    if (!spec_.post_norm) {
      NormBackward(spec_.norm, count, d, h, block_.data(Role::kAttnNorm), spec_.eps, grad_in, grad);
    }
    if (!AllFinite(grad, count * d)) {
      throw Error(
          "ERR_NAN", "gradients are no longer finite",
          "the checkpoint may be damaged; another --layer-weights than fisher needs no gradients");
    }
  }

  void ThroughHeadNorm(Role weight, size_t count, size_t heads, const float* raw, float* grad,
                       size_t worker) {
    const size_t values = count * heads * spec_.head_dim;
    float* from = Part(head_, std::max(width_, kv_width_), worker);
    std::copy_n(grad, values, from);
    std::fill_n(grad, values, 0.0f);
    NormBackward(NormKind::kRms, count * heads, spec_.head_dim, raw, block_.data(weight), spec_.eps,
                 from, grad);
  }

  const Block& block_;
  const BlockSpec& spec_;
  const BackwardRun& run_;
  Context& context_;
  const size_t page_;
  const FlightCounts n_;
  const size_t tokens_, width_, kv_width_;
  const size_t chunk_;  // most rows of a task, but for a group's
  const size_t group_;  // rows of the FFN's buffers: a chunk a worker
  std::vector<AttentionScratch> scratch_;
  std::optional<RopeTable> rope_;
  // Of the whole flight.
  Buffer<float> q_, k_, v_, q_raw_, k_raw_, out_, log_sum_, grad_q_, grad_k_, grad_v_, grad_out_,
      delta_;
  // Of a group, of a chunk a worker, or of either.
  Buffer<float> stream_, up_, gate_, x_, head_, normed_, grad_in_;
};

}  // namespace

Needs BackwardNeeds(const Context& context, const BlockSpec& spec, size_t window,
                    const TokenPages& tokens) {
  const FlightCounts n(context, spec, window, tokens.flight(), true);
  Needs needs = HeldFloats(n.Total()) + tokens.View(2 * spec.hidden);
  // The forward again, and as much back.
  needs.float_flops = 2 * BlockFlops(spec, tokens.rows, window);
  return needs;
}

void BackwardBlock(const Block& block, const BackwardRun& run) {
  const size_t tokens = run.gradient->rows(), hidden = block.spec().hidden;
  if (run.window == 0 || tokens % run.window != 0) {
    throw Error("ERR_ARGUMENT", "gradients must hold whole windows");
  }
  if (run.inputs->rows() < tokens || run.inputs->cols() != hidden ||
      run.gradient->cols() != hidden) {
    throw Error("ERR_ARGUMENT", "inputs must hold the tokens of the gradient and be as wide");
  }
  const auto check = [](const Statistics* statistics, size_t width, const char* what) {
    if (!statistics || (statistics->dim() == width && statistics->residual_dim() == 0)) return;
    throw Error("ERR_ARGUMENT", std::string("statistics of ") + what + " must be [" +
                                    std::to_string(width) + "] wide, without cross products");
  };
  check(run.at_ffn, hidden, "gradients");
  check(run.at_attention, hidden, "gradients");
  check(run.into_ffn, SiteWidth(block.spec(), SiteKind::kFfn), "the FFN's inputs");
  check(run.into_attention, SiteWidth(block.spec(), SiteKind::kAttention), "attention's inputs");
  GradientFlight flight(block, run);
  size_t unmade = 0;
  for (const Statistics* statistics :
       {run.at_ffn, run.at_attention, run.into_ffn, run.into_attention}) {
    if (statistics) unmade += statistics->unmade();
  }
  const PendingBytes pending(*block.context().budget, unmade);
  const auto matrix = [&](Role role) { return block.matrix(role); };
  PagedMatrix *const q = matrix(Role::kQ), *const k = matrix(Role::kK), *const v = matrix(Role::kV),
                     *const o = matrix(Role::kO), *const up = matrix(Role::kUp),
                     *const gate = matrix(Role::kGate), *const down = matrix(Role::kDown);
  const PackedWeights packed(block.context(), tokens,
                             {q, k, v, o, up, gate, block.spec().post_norm ? down : nullptr},
                             {down, up, gate, o, q, k, v});
  const std::vector<Scan> weights = flight.Weights();
  for (size_t row = 0; row < tokens; row += flight.Rows(row)) {
    if (flight.BeginsPage(row)) {
      AnnounceFlights(row, tokens, {{run.inputs, Access::kRead}, {run.gradient, Access::kUpdate}},
                      weights);
    }
    flight.Run(row);
  }
}

}  // namespace struprune
