#include "model/forward.h"

#include <algorithm>
#include <cmath>

#include "model/attend_windows.h"
#include "model/delta_mixer.h"
#include "model/forward_steps.h"
#include "ops/packed_weights.h"
#include "ops/short_convolution.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Numbers of the buffers of a flight.
struct SiteCounts {
  SiteCounts(const Context& context, const SublayerSpec& layer, size_t hidden,
             const SiteDemand& demand)
      : width(layer.width()),
        chunk(ChunkRows(context, demand.page)),
        keeps_activations(demand.moments || demand.keep || demand.targets) {
    const size_t tokens = demand.page, rows = context.pool.size() * chunk;
    normed = rows * hidden;
    const AttentionSpec* const attention = layer.attention();
    if (attention) {
      q = tokens * width;
      kv = tokens * attention->kv_width();
      if (attention->rope)
        angles = RopeTable::Count(*attention->rope, attention->head_dim, demand.window);
      if (attention->gated) gate = tokens * width, doubled = rows * 2 * width;
    } else if (layer.delta()) {
      delta = DeltaCounts(context, *layer.delta(), tokens).Total();
    } else if (layer.convolution()) {
      thirds = tokens * 3 * width;
    } else if (layer.ffn()->gated) {
      gate = rows * width;
    }
    const bool all = !layer.ffn() || keeps_activations;
    if (!demand.keep) x = (all ? tokens : rows) * width;
    if (demand.residual) residual = tokens * hidden;
  }
  size_t Total() const {
    return normed + q + 2 * kv + doubled + thirds + delta + x + gate + residual + angles;
  }

  size_t width;
  size_t chunk;  // most rows of a task
  bool keeps_activations;
  size_t normed = 0, q = 0, kv = 0, doubled = 0, thirds = 0, delta = 0;
  size_t x = 0, gate = 0, residual = 0, angles = 0;
};

// Buffers of one flight, made once a call.
class SiteFlight {
 public:
  SiteFlight(const Sublayer& layer, const SiteRun& run)
      : layer_(layer),
        attention_(layer.attention()),
        convolution_(layer.convolution()),
        ffn_(layer.ffn()),
        run_(run),
        context_(layer.context()),
        hidden_(layer.hidden()),
        demand_(DemandOf(run)),
        tokens_(demand_.page),
        segments_(run.rows(), tokens_, run.hidden->share()),
        n_(context_, layer.spec(), hidden_, demand_) {
    normed_ = context_.Allocate<float>(n_.normed);
    q_ = context_.Allocate<float>(n_.q);
    k_ = context_.Allocate<float>(n_.kv);
    v_ = context_.Allocate<float>(n_.kv);
    doubled_ = context_.Allocate<float>(n_.doubled);
    thirds_ = context_.Allocate<float>(n_.thirds);
    if (layer_.delta()) delta_.emplace(layer_, tokens_);
    x_ = context_.Allocate<float>(n_.x);
    gate_ = context_.Allocate<float>(n_.gate);
    residual_ = context_.Allocate<float>(n_.residual);
    if (n_.angles > 0) {
      rope_.emplace(context_, *attention_->rope, attention_->head_dim, run.window);
    }
    scratch_.resize(attention_ ? context_.pool.size() : 0);
  }

  void Run(size_t row) {
    const size_t rows = std::min(tokens_, run_.rows() - row);
    const PagedMatrix::View hidden(*run_.hidden, row, rows,
                                   run_.advance ? Access::kUpdate : Access::kRead);
    std::optional<PagedMatrix::View> earlier, kept;
    PagedMatrix* const before = EarlierInput(layer_, *run_.hidden, row);
    if (before) earlier.emplace(*before, row, rows, Access::kRead);
    const float* const read = before ? earlier->data() : hidden.data();
    if (run_.inputs) Inputs(row, rows, read);
    if (!n_.keeps_activations && !run_.advance) return;
    if (run_.advance && layer_.spec().input == BlockInput::kKept) {
      kept.emplace(run_.hidden->KeepEarlier(row, layer_.mark()), row, rows, Access::kWrite);
    }
    std::optional<PagedMatrix::View> keep;
    if (run_.keep) keep.emplace(*run_.keep, row, rows, Access::kWrite);
    float* const activations = keep ? keep->data() : x_.data();
    if (!ffn_) {
      const CutWindows& cut = run_.hidden->cut();
      ForSequences(cut, run_.window, row, rows, [&](size_t first, size_t count, size_t tokens) {
        Mix(tokens, count, read + first * hidden_, activations + first * n_.width);
      });
    } else if (n_.keeps_activations) {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        Ffn(count, read + first * hidden_, activations + first * n_.width, worker);
      });
    } else {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        float* h = hidden.data() + first * hidden_;
        float* x = x_.data() + worker * n_.chunk * n_.width;
        Ffn(count, read + first * hidden_, x, worker);
        if (kept) std::copy_n(h, count * hidden_, kept->data() + first * hidden_);
        AddOutput(layer_, count, x, h, OfWorker(worker));
        CheckFinite(layer_, count, h);
      });
      return;
    }
    if (run_.dense_before) Residual(row, rows, hidden.data(), activations);
    if (run_.statistics) {
      run_.statistics->Add(segments_.At(row), rows, activations, residual_.data());
    }
    if (run_.targets) Targets(row, rows, activations);
    if (run_.advance) {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        float* h = hidden.data() + first * hidden_;
        if (kept) std::copy_n(h, count * hidden_, kept->data() + first * hidden_);
        AddOutput(layer_, count, activations + first * n_.width, h, OfWorker(worker));
        CheckFinite(layer_, count, h);
      });
    }
  }

  size_t tokens() const { return tokens_; }
  size_t UnmadeSums() const { return run_.statistics ? run_.statistics->Unmade(segments_) : 0; }

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
    if (!n_.keeps_activations && !run_.advance) return scans;
    if (attention_) {
      scans.push_back(scan({Part::kQ, Part::kK, Part::kV}));
    } else if (convolution_) {
      scans.push_back(scan({Part::kIn}));
    } else if (delta_) {
      scans.push_back(
          scan({Part::kQ, Part::kK, Part::kV, Part::kOutGate, Part::kBeta, Part::kAlpha}));
    } else if (n_.keeps_activations) {
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
  // A worker's rows of scratch, as wide as the states.
  float* OfWorker(size_t worker) { return normed_.data() + worker * n_.chunk * hidden_; }

  // Sequences of so many tokens.
  void Mix(size_t window, size_t rows, const float* hidden, float* activations) {
    if (attention_) return Attention(window, rows, hidden, activations);
    if (convolution_) return Convolution(window, rows, hidden, activations);
    delta_->Run(window, rows, hidden, activations, [this](size_t w) { return OfWorker(w); });
  }

  void Attention(size_t window, size_t rows, const float* hidden, float* activations) {
    const size_t kv_width = attention_->kv_width();
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* x = MixerInput(layer_, count, hidden + first * hidden_, OfWorker(worker));
      Project(layer_, rope_ ? &*rope_ : nullptr, window, first, count, x,
              q_.data() + first * n_.width, k_.data() + first * kv_width,
              v_.data() + first * kv_width, nullptr, nullptr, GatesOf(first, worker));
    });
    AttendWindows(context_, ShapeOf(layer_, window), rows, q_.data(), k_.data(), v_.data(),
                  activations, nullptr, scratch_);
    if (!attention_->gated) return;
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      float* const to = activations + first * n_.width;
      const float* const gates = gate_.data() + first * n_.width;
      for (size_t i = 0; i < count * n_.width; ++i) to[i] /= 1 + std::exp(-gates[i]);
    });
  }

  QueryGates GatesOf(size_t first, size_t worker) {
    if (!attention_->gated) return {};
    return {doubled_.data() + worker * n_.chunk * 2 * n_.width, gate_.data() + first * n_.width};
  }

  void Convolution(size_t window, size_t rows, const float* hidden, float* activations) {
    const size_t width = n_.width;
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* x = MixerInput(layer_, count, hidden + first * hidden_, OfWorker(worker));
      Linear(layer_, Part::kIn, Part::kInBias, count, x, thirds_.data() + first * 3 * width);
    });
    const ShortConvolution convolution{width, convolution_->kernel, layer_.data(Part::kKernel),
                                       layer_.data(Part::kKernelBias)};
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      Convolve(convolution, window, first, count, thirds_.data(), activations + first * width);
    });
  }

  void Ffn(size_t rows, const float* hidden, float* x, size_t worker) {
    const float* in = MixerInput(layer_, rows, hidden, OfWorker(worker));
    float* const gate = ffn_->gated ? gate_.data() + worker * n_.chunk * n_.width : nullptr;
    FfnHidden(layer_, rows, in, gate, x);
  }

  void Inputs(size_t row, size_t rows, const float* hidden) {
    const size_t d = hidden_, cols = run_.inputs->cols();
    const PagedMatrix::View inputs(*run_.inputs, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* in = MixerInput(layer_, count, hidden + first * d, OfWorker(worker));
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
      Linear(layer_, Part::kOut, Part::kOutBias, count, activations + first * n_.width, to);
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
      float* y = OfWorker(worker);
      Linear(layer_, Part::kOut, Part::kOutBias, count, activations + first * n_.width, y);
      const float* ad = after->data() + first * d;
      for (size_t i = 0; i < count * d; ++i) r[i] += run_.beta * (ad[i] - hd[i] - y[i]);
    });
  }

  const Sublayer layer_;
  const AttentionSpec* const attention_;  // one of the three is not null, or there is delta_
  const ConvolutionSpec* const convolution_;
  const FeedForwardSpec* const ffn_;
  const SiteRun& run_;
  Context& context_;
  const size_t hidden_;
  const SiteDemand demand_;
  const size_t tokens_;
  const Segments segments_;
  const SiteCounts n_;
  std::optional<RopeTable> rope_;
  std::vector<AttentionScratch> scratch_;
  std::optional<DeltaMixer> delta_;
  Buffer<float> normed_, q_, k_, v_, doubled_, thirds_, x_, gate_, residual_;
};

// Numbers of the buffers of ApplySite.
struct ApplyCounts {
  ApplyCounts(const Context& context, const SublayerSpec& layer, size_t hidden, size_t flight,
              bool some)
      : gathered(some ? WorkerRows(context, flight) * layer.width() : 0),
        output(layer.out_norm ? WorkerRows(context, flight) * hidden : 0) {}
  size_t gathered, output;
};

size_t BytesOf(const PagedMatrix* matrix) {
  return matrix ? matrix->held().size() * matrix->cols() * sizeof(float) : 0;
}

// A page of what states keep, beside that of the states.
size_t EarlierViews(const SublayerSpec& layer) { return layer.input == BlockInput::kNone ? 0 : 1; }

}  // namespace

PagedMatrix* EarlierInput(const Sublayer& layer, const PagedMatrix& states, size_t row) {
  return layer.spec().input == BlockInput::kRead ? states.Earlier(row, layer.mark()) : nullptr;
}

Stream EarlierStream(const Sublayer& layer, PagedMatrix& states, size_t row, bool advance) {
  switch (layer.spec().input) {
    case BlockInput::kRead:
      return {states.Earlier(row, layer.mark()), Access::kRead};
    case BlockInput::kKept:
      if (advance) return {&states.KeepEarlier(row, layer.mark()), Access::kWrite};
      break;
    case BlockInput::kNone:
      break;
  }
  return {nullptr, Access::kRead};
}

void ForgetInput(const Sublayer& layer, PagedMatrix& states, size_t rows) {
  if (layer.spec().input == BlockInput::kRead) states.ForgetEarlier(0, rows);
}

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

SiteDemand DemandOf(const SiteRun& run) {
  SiteDemand demand;
  demand.window = run.window;
  demand.page = FlightRows(
      run.window, run.rows(),
      {run.hidden, run.keep, run.inputs, run.targets, run.dense_before, run.dense_after});
  demand.tokens = run.rows();
  demand.advance = run.advance;
  demand.keep = run.keep != nullptr;
  demand.moments = run.statistics != nullptr;
  demand.gram = run.statistics && run.statistics->has_gram();
  demand.residual = run.dense_before != nullptr;
  demand.inputs = run.inputs != nullptr;
  demand.targets = run.targets != nullptr;
  return demand;
}

void RunSite(const Sublayer& layer, const SiteRun& run) {
  if (run.window == 0 || run.rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  SiteFlight flight(layer, run);
  const PendingBytes pending(
      *layer.context().budget,
      flight.UnmadeSums() + BytesOf(run.keep) + BytesOf(run.inputs) + BytesOf(run.targets) +
          (run.advance && layer.spec().input == BlockInput::kKept ? BytesOf(run.hidden) : 0));
  const auto [begin, end] = run.held();
  const PackedWeights packed(layer.context(), end - begin, flight.Matrices());
  const std::vector<Scan> weights = flight.Weights();
  std::vector<Stream> streams = {{run.hidden, run.advance ? Access::kUpdate : Access::kRead},
                                 {},
                                 {run.inputs, Access::kWrite},
                                 {run.keep, Access::kWrite},
                                 {run.dense_before, Access::kRead},
                                 {run.beta != 0 ? run.dense_after : nullptr, Access::kRead},
                                 {run.targets, Access::kWrite}};
  for (size_t row = begin; row < end; row += flight.tokens()) {
    streams[1] = EarlierStream(layer, *run.hidden, row, run.advance);
    AnnounceFlights(row, end, streams, weights);
    flight.Run(row);
  }
  if (run.advance) ForgetInput(layer, *run.hidden, run.rows());
  if (run.statistics) run.statistics->Join();
}

Needs SiteSinkNeeds(const SublayerSpec& layer, size_t hidden, const SiteDemand& demand,
                    const TokenPages& tokens, bool ones) {
  const size_t d = hidden, width = layer.width();
  Needs needs = HeldFloats(tokens.flight() *
                           ((demand.keep ? width : 0) + (demand.inputs ? d + (ones ? 1 : 0) : 0) +
                            (demand.targets ? d : 0)));
  needs.float_flops = SublayerFlops(layer, hidden, tokens.held(), demand.window);
  if (demand.gram) needs.float_flops += Statistics::GramFlops(width, tokens.held());
  return needs;
}

Needs RunSiteNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                   const SiteDemand& demand, const TokenPages& tokens, bool ones) {
  const SiteCounts n(context, layer, hidden, demand);
  // Both dense states beside these.
  const size_t views = (demand.residual ? 3 : 1) + EarlierViews(layer);
  Needs needs = SiteSinkNeeds(layer, hidden, demand, tokens, ones) + HeldFloats(n.Total()) +
                tokens.View(views * hidden);
  if (!demand.moments) return needs;
  const Statistics::Sizes sums[] = {{layer.width(), demand.gram, demand.residual ? hidden : 0}};
  return needs + Statistics::WaitingNeeds(context, sums, tokens);
}

void ApplySite(const Sublayer& layer, PagedMatrix& x, std::span<const int32_t> columns,
               PagedMatrix& hidden) {
  Context& context = layer.context();
  const size_t d = layer.hidden(), width = layer.width();
  const size_t flight = FlightRows(1, hidden.rows(), {&hidden, &x});
  const size_t chunk = ChunkRows(context, flight);
  const ApplyCounts n(context, layer.spec(), d, flight, !columns.empty());
  auto gathered = context.Allocate<float>(n.gathered), output = context.Allocate<float>(n.output);
  const auto [begin, end] = hidden.held();
  const PackedWeights packed(context, end - begin, {layer.matrix(Part::kOut)});
  const Scan weights[] = {ScanOf(layer, flight, {Part::kOut})};
  for (size_t row = begin; row < end; row += flight) {
    const Stream earlier = layer.spec().input == BlockInput::kKept
                               ? EarlierStream(layer, hidden, row, true)
                               : Stream{nullptr, Access::kRead};
    AnnounceFlights(row, end, {{&hidden, Access::kUpdate}, earlier, {&x, Access::kRead}}, weights);
    const size_t rows = std::min(flight, end - row);
    const PagedMatrix::View h(hidden, row, rows, Access::kUpdate);
    const PagedMatrix::View stored(x, row, rows, Access::kRead);
    std::optional<PagedMatrix::View> kept;
    if (earlier.matrix) kept.emplace(*earlier.matrix, row, rows, Access::kWrite);
    ForChunks(context, rows, [&](size_t first, size_t count, size_t worker) {
      const float* from = stored.data() + first * x.cols();
      if (!columns.empty()) {
        float* to = gathered.data() + worker * chunk * width;
        for (size_t i = 0; i < count; ++i) {
          for (size_t j = 0; j < width; ++j) to[i * width + j] = from[i * x.cols() + columns[j]];
        }
        from = to;
      }
      if (kept) std::copy_n(h.data() + first * d, count * d, kept->data() + first * d);
      AddOutput(layer, count, from, h.data() + first * d,
                output.empty() ? nullptr : output.data() + worker * chunk * d);
      CheckFinite(layer, count, h.data() + first * d);
    });
  }
  ForgetInput(layer, hidden, hidden.rows());
}

Needs ApplySiteNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                     const TokenPages& tokens) {
  const size_t width = layer.width(), flight = tokens.flight();
  const ApplyCounts n(context, layer, hidden, flight, true);
  Needs needs = HeldFloats(n.gathered + n.output + flight * width);
  needs.float_flops = 2.0 * static_cast<double>(tokens.held() * width * hidden);
  return needs + tokens.View((1 + EarlierViews(layer)) * hidden);
}

namespace {

// Of a token.
double FlopsOf(const AttentionSpec& spec, double hidden, double window) {
  const auto q = static_cast<double>(spec.q_width()), kv = static_cast<double>(spec.kv_width());
  // Scores and their product with v, over the keys that causality (and the sliding window) leaves.
  const auto sliding = static_cast<double>(spec.sliding);
  const double seen = std::min(window / 2, spec.sliding ? sliding : window);
  return 2 * hidden * ((spec.gated ? 3 : 2) * q + 2 * kv) + 4 * q * seen;
}

double FlopsOf(const FeedForwardSpec& spec, double hidden, double) {
  return 2 * hidden * (spec.gated ? 3 : 2) * static_cast<double>(spec.width);
}

// Of the rule itself three passes over a head's state.
double FlopsOf(const DeltaSpec& spec, double hidden, double) {
  const auto mixed = static_cast<double>(spec.mixed()), width = static_cast<double>(spec.width());
  const auto heads = static_cast<double>(spec.value_heads);
  const double maps = hidden * (mixed + 2 * width + 2 * heads);
  const double rule = 3 * width * static_cast<double>(spec.key_dim);
  return 2 * (maps + mixed * static_cast<double>(spec.kernel) + rule);
}

double FlopsOf(const ConvolutionSpec& spec, double hidden, double) {
  return 2 * static_cast<double>(spec.width) * (4 * hidden + static_cast<double>(spec.kernel));
}

// The router, and those that a token passes.
double FlopsOf(const ExpertsSpec& spec, double hidden, double window) {
  const double routed = FlopsOf(spec.expert, hidden, window);
  const double gate = spec.shared_gated ? 2 * hidden : 0;
  const double shared = spec.shared ? gate + FlopsOf(*spec.shared, hidden, window) : 0;
  return 2 * hidden * static_cast<double>(spec.count) + static_cast<double>(spec.top_k) * routed +
         shared;
}

}  // namespace

double SublayerFlops(const SublayerSpec& layer, size_t hidden, size_t tokens, size_t window) {
  const auto of_token = [&](const auto& mixer) {
    return FlopsOf(mixer, static_cast<double>(hidden), static_cast<double>(window));
  };
  return static_cast<double>(tokens) * std::visit(of_token, layer.mixer);
}

double BlockFlops(const BlockSpec& spec, size_t tokens, size_t window) {
  double flops = 0;
  for (size_t i = 0; i < spec.sublayers.size(); i = spec.Inside(i).end) {
    flops += SublayerFlops(spec.sublayers[i], spec.hidden, tokens, window);
  }
  return flops;
}

}  // namespace struprune
