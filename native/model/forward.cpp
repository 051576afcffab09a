#include "model/forward.h"

#include <algorithm>
#include <cmath>

#include "model/attend_windows.h"
#include "model/forward_steps.h"
#include "ops/finite.h"
#include "ops/packed_weights.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

void CheckFinite(const Sublayer& layer, size_t rows, const float* hidden) {
  if (AllFinite(hidden, rows * layer.hidden())) return;
  throw Error("ERR_NAN", "hidden states are no longer finite",
              "the checkpoint may be damaged, or its dtype too narrow for this text");
}

// Buffers of one flight, made once a call.
class SiteFlight {
 public:
  SiteFlight(const Sublayer& layer, const SiteRun& run)
      : layer_(layer),
        attention_(layer.attention()),
        ffn_(layer.ffn()),
        run_(run),
        context_(layer.context()),
        hidden_(layer.hidden()),
        tokens_(FlightRows(
            run.window, run.rows(),
            {run.hidden, run.keep, run.inputs, run.targets, run.dense_before, run.dense_after})),
        chunk_(ChunkRows(context_, tokens_)),
        width_(layer.width()),
        keeps_activations_(run.statistics || run.keep || run.targets) {
    const size_t workers = context_.pool.size();
    normed_ = context_.Allocate<float>(workers * chunk_ * hidden_);
    if (attention_) {
      q_ = context_.Allocate<float>(tokens_ * width_);
      k_ = context_.Allocate<float>(tokens_ * attention_->kv_width());
      v_ = context_.Allocate<float>(tokens_ * attention_->kv_width());
      if (!run.keep) x_ = context_.Allocate<float>(tokens_ * width_);
      if (attention_->rope) {
        rope_.emplace(context_, *attention_->rope, attention_->head_dim, run.window);
      }
      scratch_.resize(workers);
    } else {
      const size_t rows = keeps_activations_ ? tokens_ : workers * chunk_;
      if (!run.keep) x_ = context_.Allocate<float>(rows * width_);
      if (ffn_->gated) gate_ = context_.Allocate<float>(workers * chunk_ * width_);
    }
    if (run.dense_before) residual_ = context_.Allocate<float>(tokens_ * hidden_);
  }

  void Run(size_t row) {
    const size_t rows = std::min(tokens_, run_.rows() - row);
    const PagedMatrix::View hidden(*run_.hidden, row, rows,
                                   run_.advance ? Access::kUpdate : Access::kRead);
    if (run_.inputs) Inputs(row, rows, hidden.data());
    if (!keeps_activations_ && !run_.advance) return;
    std::optional<PagedMatrix::View> keep;
    if (run_.keep) keep.emplace(*run_.keep, row, rows, Access::kWrite);
    float* const activations = keep ? keep->data() : x_.data();
    if (attention_) {
      Attention(rows, hidden.data(), activations);
    } else if (keeps_activations_) {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        Ffn(count, hidden.data() + first * hidden_, activations + first * width_, worker);
      });
    } else {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        float* h = hidden.data() + first * hidden_;
        float* x = x_.data() + worker * chunk_ * width_;
        Ffn(count, h, x, worker);
        AddOutput(layer_, count, x, h);
        CheckFinite(layer_, count, h);
      });
      return;
    }
    if (run_.dense_before) Residual(row, rows, hidden.data(), activations);
    if (run_.statistics) run_.statistics->Add(rows, activations, residual_.data());
    if (run_.targets) Targets(row, rows, activations);
    if (run_.advance) {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
        float* h = hidden.data() + first * hidden_;
        AddOutput(layer_, count, activations + first * width_, h);
        CheckFinite(layer_, count, h);
      });
    }
  }

  size_t tokens() const { return tokens_; }

  // The weights that it reads.
  std::vector<PagedMatrix*> Matrices() const {
    std::vector<PagedMatrix*> matrices;
    for (const Scan& scan : Weights()) {
      for (PagedMatrix* matrix : scan.matrices) {
        if (std::ranges::find(matrices, matrix) == matrices.end()) matrices.push_back(matrix);
      }
    }
    return matrices;
  }

  // How one flight reads the block's weights.
  std::vector<Scan> Weights() const {
    const auto scan = [&](std::initializer_list<Part> parts) {
      return ScanOf(layer_, tokens_, parts);
    };
    std::vector<Scan> scans;
    if (!keeps_activations_ && !run_.advance) return scans;
    if (attention_) {
      scans.push_back(scan({Part::kQ, Part::kK, Part::kV}));
    } else if (keeps_activations_) {
      scans.push_back(scan({Part::kUp, Part::kGate}));
    } else {
      return {scan({Part::kUp, Part::kGate, Part::kOut})};
    }
    if (run_.dense_before && run_.beta != 0) scans.push_back(scan({Part::kOut}));
    if (run_.targets) scans.push_back(scan({Part::kOut}));
    if (run_.advance) scans.push_back(scan({Part::kOut}));
    return scans;
  }

 private:
  void Attention(size_t rows, const float* hidden, float* activations) {
    const size_t kv_width = attention_->kv_width();
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* x = MixerInput(layer_, count, hidden + first * hidden_,
                                  normed_.data() + worker * chunk_ * hidden_);
      Project(layer_, rope_ ? &*rope_ : nullptr, run_.window, first, count, x,
              q_.data() + first * width_, k_.data() + first * kv_width,
              v_.data() + first * kv_width, nullptr, nullptr);
    });
    AttendWindows(context_, ShapeOf(*attention_, run_.window), rows, q_.data(), k_.data(),
                  v_.data(), activations, nullptr, scratch_);
  }

  void Ffn(size_t rows, const float* hidden, float* x, size_t worker) {
    const float* in = MixerInput(layer_, rows, hidden, normed_.data() + worker * chunk_ * hidden_);
    float* const gate = ffn_->gated ? gate_.data() + worker * chunk_ * width_ : nullptr;
    FfnHidden(layer_, rows, in, gate, x);
  }

  void Inputs(size_t row, size_t rows, const float* hidden) {
    const size_t d = hidden_, cols = run_.inputs->cols();
    const PagedMatrix::View inputs(*run_.inputs, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* in =
          MixerInput(layer_, count, hidden + first * d, normed_.data() + worker * chunk_ * d);
      for (size_t i = 0; i < count; ++i) {
        float* to = inputs.data() + (first + i) * cols;
        std::copy_n(in + i * d, d, to);
        std::fill(to + d, to + cols, 1.0f);
      }
    });
  }

  void Targets(size_t row, size_t rows, const float* activations) {
    const size_t d = hidden_;
    const PagedMatrix::View targets(*run_.targets, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      float* to = targets.data() + first * d;
      Linear(layer_, Part::kOut, Part::kOutBias, count, activations + first * width_, to);
      if (!run_.dense_before) return;
      for (size_t i = 0; i < count * d; ++i) to[i] += residual_[first * d + i];
    });
  }

  // R = beta (Y_dense - Y) + alpha (h_dense - h), method.md section 1.
  void Residual(size_t row, size_t rows, const float* hidden, const float* activations) {
    const size_t d = hidden_;
    const PagedMatrix::View before(*run_.dense_before, row, rows, Access::kRead);
    std::optional<PagedMatrix::View> after;
    if (run_.beta != 0) after.emplace(*run_.dense_after, row, rows, Access::kRead);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* h = hidden + first * d;
      const float* hd = before.data() + first * d;
      float* r = residual_.data() + first * d;
      for (size_t i = 0; i < count * d; ++i) r[i] = run_.alpha * (hd[i] - h[i]);
      if (!after) return;
      float* y = normed_.data() + worker * chunk_ * d;
      Linear(layer_, Part::kOut, Part::kOutBias, count, activations + first * width_, y);
      const float* ad = after->data() + first * d;
      for (size_t i = 0; i < count * d; ++i) r[i] += run_.beta * (ad[i] - hd[i] - y[i]);
    });
  }

  const Sublayer layer_;
  const AttentionSpec* const attention_;  // one of the two is null
  const FeedForwardSpec* const ffn_;
  const SiteRun& run_;
  Context& context_;
  const size_t hidden_, tokens_, chunk_, width_;  // chunk_: most rows of a task
  const bool keeps_activations_;
  std::optional<RopeTable> rope_;
  std::vector<AttentionScratch> scratch_;
  Buffer<float> normed_, q_, k_, v_, x_, gate_, residual_;
};

size_t BytesOf(const PagedMatrix* matrix) {
  return matrix ? matrix->rows() * matrix->cols() * sizeof(float) : 0;
}

}  // namespace

size_t FlightRows(size_t window, size_t rows, std::initializer_list<const PagedMatrix*> matrices) {
  size_t flight = 0;
  for (const PagedMatrix* matrix : matrices) {
    if (!matrix) continue;
    const size_t page = std::min(rows, matrix->page_rows());
    if (page % window != 0 || (flight != 0 && page != flight)) {
      throw Error("ERR_ARGUMENT", "pages of hidden states must hold the same whole windows");
    }
    flight = page;
  }
  return flight;
}

void RunSite(const Sublayer& layer, const SiteRun& run) {
  if (run.window == 0 || run.rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  SiteFlight flight(layer, run);
  const PendingBytes pending(*layer.context().budget,
                             (run.statistics ? run.statistics->unmade() : 0) + BytesOf(run.keep) +
                                 BytesOf(run.inputs) + BytesOf(run.targets));
  const PackedWeights packed(layer.context(), run.rows(), flight.Matrices());
  const std::vector<Scan> weights = flight.Weights();
  const std::vector<Stream> streams = {{run.hidden, run.advance ? Access::kUpdate : Access::kRead},
                                       {run.inputs, Access::kWrite},
                                       {run.keep, Access::kWrite},
                                       {run.dense_before, Access::kRead},
                                       {run.beta != 0 ? run.dense_after : nullptr, Access::kRead},
                                       {run.targets, Access::kWrite}};
  for (size_t row = 0; row < run.rows(); row += flight.tokens()) {
    AnnounceFlights(row, run.rows(), streams, weights);
    flight.Run(row);
  }
}

void ApplySite(const Sublayer& layer, PagedMatrix& x, std::span<const int32_t> columns,
               PagedMatrix& hidden) {
  Context& context = layer.context();
  const size_t d = layer.hidden(), width = layer.width();
  const size_t flight = FlightRows(1, hidden.rows(), {&hidden, &x});
  const size_t chunk = ChunkRows(context, flight);
  auto gathered =
      context.Allocate<float>(columns.empty() ? 0 : context.pool.size() * chunk * width);
  const PackedWeights packed(context, hidden.rows(), {layer.matrix(Part::kOut)});
  const Scan weights[] = {ScanOf(layer, flight, {Part::kOut})};
  for (size_t row = 0; row < hidden.rows(); row += flight) {
    AnnounceFlights(row, hidden.rows(), {{&hidden, Access::kUpdate}, {&x, Access::kRead}}, weights);
    const size_t rows = std::min(flight, hidden.rows() - row);
    const PagedMatrix::View h(hidden, row, rows, Access::kUpdate);
    const PagedMatrix::View stored(x, row, rows, Access::kRead);
    ForChunks(context, rows, [&](size_t first, size_t count, size_t worker) {
      const float* from = stored.data() + first * x.cols();
      if (!columns.empty()) {
        float* to = gathered.data() + worker * chunk * width;
        for (size_t i = 0; i < count; ++i) {
          for (size_t j = 0; j < width; ++j) to[i * width + j] = from[i * x.cols() + columns[j]];
        }
        from = to;
      }
      AddOutput(layer, count, from, h.data() + first * d);
      CheckFinite(layer, count, h.data() + first * d);
    });
  }
}

namespace {

double FlopsOf(const AttentionSpec& spec, double hidden, double window) {
  const auto q = static_cast<double>(spec.q_width()), kv = static_cast<double>(spec.kv_width());
  // Scores and their product with v, over the keys that causality (and the sliding window) leaves.
  const auto sliding = static_cast<double>(spec.sliding);
  const double seen = std::min(window / 2, spec.sliding ? sliding : window);
  return 2 * hidden * (2 * q + 2 * kv) + 4 * q * seen;
}

double FlopsOf(const FeedForwardSpec& spec, double hidden, double) {
  return 2 * hidden * (spec.gated ? 3 : 2) * static_cast<double>(spec.width);
}

}  // namespace

double BlockFlops(const BlockSpec& spec, size_t tokens, size_t window) {
  double flops = 0;
  for (const SublayerSpec& layer : spec.sublayers) {
    flops += std::visit(
        [&](const auto& mixer) {
          return FlopsOf(mixer, static_cast<double>(spec.hidden), static_cast<double>(window));
        },
        layer.mixer);
  }
  return static_cast<double>(tokens) * flops;
}

}  // namespace struprune
