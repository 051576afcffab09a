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

// The width of what a role's factors are summed in; 0 for roles without factors.
size_t FactorWidth(const BlockSpec& spec, Role role) {
  switch (role) {
    case Role::kAttnNorm:
    case Role::kFfnNorm:
    case Role::kOBias:
    case Role::kDownBias:
      return spec.hidden;
    case Role::kQNorm:
    case Role::kKNorm:
      return spec.head_dim;
    case Role::kO:
      return SiteWidth(spec, SiteKind::kAttention);
    case Role::kDown:
      return SiteWidth(spec, SiteKind::kFfn);
    default:
      return 0;
  }
}

// Buffers of one flight, made once a call.
class GradientFlight {
 public:
  GradientFlight(const Block& block, const BackwardRun& run)
      : block_(block),
        spec_(block.spec()),
        run_(run),
        context_(block.context()),
        page_(FlightRows(run.window, run.gradient->rows(), {run.inputs, run.gradient})),
        tokens_(std::min(page_, std::max<size_t>(1, kFlightTokens / run.window) * run.window)),
        width_(spec_.heads * spec_.head_dim),
        kv_width_(spec_.kv_heads * spec_.head_dim),
        chunk_(ChunkRows(context_, tokens_)),
        group_(std::min(tokens_, context_.pool.size() * kChunk)),
        scratch_(context_.pool.size()) {
    for (auto* buffer : {&q_, &grad_q_, &out_, &grad_out_}) {
      *buffer = context_.Allocate<float>(tokens_ * width_);
    }
    for (auto* buffer : {&k_, &grad_k_, &v_, &grad_v_}) {
      *buffer = context_.Allocate<float>(tokens_ * kv_width_);
    }
    if (spec_.qk_norm) {
      q_raw_ = context_.Allocate<float>(tokens_ * width_);
      k_raw_ = context_.Allocate<float>(tokens_ * kv_width_);
      head_ = context_.Allocate<float>(context_.pool.size() * chunk_ * std::max(width_, kv_width_));
    }
    log_sum_ = context_.Allocate<float>(tokens_ * spec_.heads);
    stream_ = context_.Allocate<float>(group_ * spec_.hidden);
    for (auto* buffer : {&normed_, &grad_in_}) {
      *buffer =
          context_.Allocate<float>(std::max(group_, context_.pool.size() * chunk_) * spec_.hidden);
    }
    up_ = context_.Allocate<float>(group_ * spec_.ffn);
    x_ = context_.Allocate<float>(group_ * spec_.ffn);
    if (spec_.gated) gate_ = context_.Allocate<float>(group_ * spec_.ffn);
    if (spec_.post_norm && (run.at_ffn || factors(Role::kDownBias))) {
      delta_ = context_.Allocate<float>(tokens_ * spec_.hidden);
    }
    if (factors(Role::kDown)) grad_x_ = context_.Allocate<float>(group_ * spec_.ffn);
    if (factors(Role::kAttnNorm)) attn_norm_ = context_.Allocate<float>(tokens_ * spec_.hidden);
    if (factors(Role::kFfnNorm)) ffn_norm_ = context_.Allocate<float>(tokens_ * spec_.hidden);
    if (factors(Role::kOBias) || factors(Role::kDownBias)) {
      bias_ = context_.Allocate<float>(tokens_ * spec_.hidden);
    }
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
    if (!spec_.post_norm) AtOutput(run_.at_ffn, Role::kDownBias, rows, grad);
    for (size_t first = 0; first < rows; first += group_) {
      FfnGroup(first, std::min(group_, rows - first), h, grad);
    }
    if (spec_.post_norm) AtOutput(run_.at_ffn, Role::kDownBias, rows, delta_.data());
    AtOutput(run_.at_attention, Role::kOBias, rows, grad);
    AttendWindowsBackward(context_, shape, rows, q_.data(), k_.data(), v_.data(), out_.data(),
                          log_sum_.data(), grad_out_.data(), grad_q_.data(), grad_k_.data(),
                          grad_v_.data(), scratch_);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      ThroughProjections(first, count, h, grad, worker);
    });
    AddProducts(Role::kO, rows, out_.data(), grad_out_.data());
    AddFactors(Role::kAttnNorm, rows, attn_norm_.data());
    AddFactors(Role::kFfnNorm, rows, ffn_norm_.data());
    AddFactors(Role::kQNorm, rows * spec_.heads, q_raw_.data());
    AddFactors(Role::kKNorm, rows * spec_.kv_heads, k_raw_.data());
  }

 private:
  // Null: not wanted.
  Statistics* factors(Role role) const { return run_.factors[static_cast<size_t>(role)]; }

  void AddFactors(Role role, size_t rows, const float* values) {
    if (factors(role)) factors(role)->Add(rows, values, nullptr);
  }

  // Of a matrix that takes x[rows, cols] as its input, to which the loss has this gradient; x is
  // overwritten.
  void AddProducts(Role role, size_t rows, float* x, const float* gradient) {
    if (!factors(role)) return;
    const size_t cols = factors(role)->dim();
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      for (size_t i = first * cols; i < (first + count) * cols; ++i) x[i] *= gradient[i];
    });
    AddFactors(role, rows, x);
  }

  // What is wanted of delta[rows, hidden], the gradient at a site's output.
  void AtOutput(Statistics* gradients, Role bias, size_t rows, const float* delta) {
    const size_t d = spec_.hidden;
    if (gradients) gradients->Add(rows, delta, nullptr);
    if (!factors(bias)) return;
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      for (size_t i = first; i < first + count; ++i) {
        for (size_t j = 0; j < d; ++j) bias_[i * d + j] = delta[i * d + j] * block_.data(bias)[j];
      }
    });
    AddFactors(bias, rows, bias_.data());
  }

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
    AddProducts(Role::kDown, rows, x_.data(), grad_x_.data());
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

  // grad += Jᵀ grad_out of a site's norm for rows [row, row + count) of the flight, x being the
  // norm's input.
  void ThroughNorm(SiteKind site, size_t row, size_t count, const float* x, const float* grad_out,
                   float* grad) {
    const float* weight = block_.data(NormRole(site));
    Buffer<float>& products = site == SiteKind::kAttention ? attn_norm_ : ffn_norm_;
    if (!products.empty()) {
      NormFactorsBackward(spec_.norm, count, spec_.hidden, x, weight, spec_.eps, grad_out,
                          products.data() + row * spec_.hidden);
    }
    NormBackward(spec_.norm, count, spec_.hidden, x, weight, spec_.eps, grad_out, grad);
  }

  // grad <- Jᵀ grad of the norm that follows a site of a post-norm block.
  void ThroughPostNorm(SiteKind site, size_t row, size_t count, const float* x, float* grad,
                       float* scratch) {
    std::copy_n(grad, count * spec_.hidden, scratch);
    std::fill_n(grad, count * spec_.hidden, 0.0f);
    ThroughNorm(site, row, count, x, scratch, grad);
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
    if (spec_.post_norm || run_.into_ffn || factors(Role::kDown)) {
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
      ThroughPostNorm(SiteKind::kFfn, row, count, grad_in, grad, normed);
      if (!delta_.empty()) std::copy_n(grad, count * d, delta_.data() + row * d);
    }
    float* grad_x = grad_x_.empty() ? x : grad_x_.data() + at * spec_.ffn;
    LinearBackward(block_, Role::kDown, count, grad, 0, grad_x);
    ActivateBackward(spec_.activation, count * spec_.ffn, gate, up, grad_x, gate, up);
    if (spec_.post_norm) {
      LinearBackward(block_, Role::kUp, count, up, 1, grad);
      if (gate) LinearBackward(block_, Role::kGate, count, gate, 1, grad);
      ThroughPostNorm(SiteKind::kAttention, row, count, middle, grad, normed);
    } else {
      LinearBackward(block_, Role::kUp, count, up, 0, grad_in);
      if (gate) LinearBackward(block_, Role::kGate, count, gate, 1, grad_in);
      ThroughNorm(SiteKind::kFfn, row, count, middle, grad_in, grad);
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
      ThroughNorm(SiteKind::kAttention, first, count, h, grad_in, grad);
    }
    if (!AllFinite(grad, count * d)) {
      throw Error(
          "ERR_NAN", "gradients are no longer finite",
          "the checkpoint may be damaged; another --layer-weights than fisher needs no gradients");
    }
  }

  // Leaves what the norm's factors have of it in `raw`.
  void ThroughHeadNorm(Role weight, size_t count, size_t heads, float* raw, float* grad,
                       size_t worker) {
    const size_t values = count * heads * spec_.head_dim;
    float* from = Part(head_, std::max(width_, kv_width_), worker);
    std::copy_n(grad, values, from);
    std::fill_n(grad, values, 0.0f);
    NormBackward(NormKind::kRms, count * heads, spec_.head_dim, raw, block_.data(weight), spec_.eps,
                 from, grad);
    if (!factors(weight)) return;
    NormFactorsBackward(NormKind::kRms, count * heads, spec_.head_dim, raw, block_.data(weight),
                        spec_.eps, from, raw);
  }

  const Block& block_;
  const BlockSpec& spec_;
  const BackwardRun& run_;
  Context& context_;
  const size_t page_, tokens_, width_, kv_width_;
  const size_t chunk_;  // most rows of a task, but for a group's
  const size_t group_;  // rows of the FFN's buffers: a chunk a worker
  std::vector<AttentionScratch> scratch_;
  std::optional<RopeTable> rope_;
  // Of the whole flight.
  Buffer<float> q_, k_, v_, q_raw_, k_raw_, out_, log_sum_, grad_q_, grad_k_, grad_v_, grad_out_,
      delta_, attn_norm_, ffn_norm_, bias_;
  // Of a group, of a chunk a worker, or of either.
  Buffer<float> stream_, up_, gate_, x_, grad_x_, head_, normed_, grad_in_;
};

}  // namespace

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
  for (size_t r = 0; r < kRoles; ++r) {
    if (!run.factors[r]) continue;
    const Role role = static_cast<Role>(r);
    const std::string what = std::string(kRoleNames[r]) + "'s factors";
    if (!block.has(role)) throw Error("ERR_ARGUMENT", "the block has no " + what);
    check(run.factors[r], FactorWidth(block.spec(), role), what.c_str());
  }
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
