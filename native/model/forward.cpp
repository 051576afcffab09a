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

void CheckFinite(const Block& block, size_t rows, const float* hidden) {
  if (AllFinite(hidden, rows * block.spec().hidden)) return;
  throw Error("ERR_NAN", "hidden states are no longer finite",
              "the checkpoint may be damaged, or its dtype too narrow for this text");
}

// Numbers of the buffers of a flight.
struct SiteCounts {
  SiteCounts(const Context& context, const BlockSpec& spec, SiteKind site, const SiteDemand& demand)
      : width(SiteWidth(spec, site)),
        chunk(ChunkRows(context, demand.page)),
        keeps_activations(demand.moments || demand.keep || demand.targets) {
    const size_t tokens = demand.page, rows = context.pool.size() * chunk;
    normed = rows * spec.hidden;
    if (site == SiteKind::kAttention) {
      q = tokens * width;
      kv = tokens * spec.kv_heads * spec.head_dim;
      if (spec.rope) angles = RopeTable::Count(spec.head_dim, demand.window);
    } else if (spec.gated) {
      gate = rows * width;
    }
    const bool all = site == SiteKind::kAttention || keeps_activations;
    if (!demand.keep) x = (all ? tokens : rows) * width;
    if (demand.residual) residual = tokens * spec.hidden;
  }
  size_t Total() const { return normed + q + 2 * kv + x + gate + residual + angles; }

  size_t width;
  size_t chunk;  // most rows of a task
  bool keeps_activations;
  size_t normed = 0, q = 0, kv = 0, x = 0, gate = 0, residual = 0, angles = 0;
};

// Buffers of one flight, made once a call.
class SiteFlight {
 public:
  SiteFlight(const Block& block, SiteKind site, const SiteRun& run)
      : block_(block),
        site_(site),
        run_(run),
        context_(block.context()),
        demand_(DemandOf(run)),
        tokens_(demand_.page),
        n_(context_, block.spec(), site, demand_) {
    const BlockSpec& spec = block.spec();
    normed_ = context_.Allocate<float>(n_.normed);
    q_ = context_.Allocate<float>(n_.q);
    k_ = context_.Allocate<float>(n_.kv);
    v_ = context_.Allocate<float>(n_.kv);
    x_ = context_.Allocate<float>(n_.x);
    gate_ = context_.Allocate<float>(n_.gate);
    residual_ = context_.Allocate<float>(n_.residual);
    if (n_.angles > 0) rope_.emplace(context_, *spec.rope, spec.head_dim, run.window);
    scratch_.resize(site == SiteKind::kAttention ? context_.pool.size() : 0);
  }

  void Run(size_t row) {
    const size_t rows = std::min(tokens_, run_.rows() - row);
    const PagedMatrix::View hidden(*run_.hidden, row, rows,
                                   run_.advance ? Access::kUpdate : Access::kRead);
    if (run_.inputs) Inputs(row, rows, hidden.data());
    if (!n_.keeps_activations && !run_.advance) return;
    std::optional<PagedMatrix::View> keep;
    if (run_.keep) keep.emplace(*run_.keep, row, rows, Access::kWrite);
    float* const activations = keep ? keep->data() : x_.data();
    if (site_ == SiteKind::kAttention) {
      Attention(rows, hidden.data(), activations);
    } else if (n_.keeps_activations) {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        Ffn(count, hidden.data() + first * block_.spec().hidden, activations + first * n_.width,
            worker);
      });
    } else {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        float* h = hidden.data() + first * block_.spec().hidden;
        float* x = x_.data() + worker * n_.chunk * n_.width;
        Ffn(count, h, x, worker);
        AddOutput(block_, site_, count, x, h);
        CheckFinite(block_, count, h);
      });
      return;
    }
    if (run_.dense_before) Residual(row, rows, hidden.data(), activations);
    if (run_.statistics) run_.statistics->Add(rows, activations, residual_.data());
    if (run_.targets) Targets(row, rows, activations);
    if (run_.advance) {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
        float* h = hidden.data() + first * block_.spec().hidden;
        AddOutput(block_, site_, count, activations + first * n_.width, h);
        CheckFinite(block_, count, h);
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
    const auto scan = [&](std::initializer_list<Role> roles) {
      return ScanOf(block_, tokens_, roles);
    };
    const Role out = OutputRole(site_);
    std::vector<Scan> scans;
    if (!n_.keeps_activations && !run_.advance) return scans;
    if (site_ == SiteKind::kAttention) {
      scans.push_back(scan({Role::kQ, Role::kK, Role::kV}));
    } else if (n_.keeps_activations) {
      scans.push_back(scan({Role::kUp, Role::kGate}));
    } else {
      return {scan({Role::kUp, Role::kGate, out})};
    }
    if (run_.dense_before && run_.beta != 0) scans.push_back(scan({out}));
    if (run_.targets) scans.push_back(scan({out}));
    if (run_.advance) scans.push_back(scan({out}));
    return scans;
  }

 private:
  void Attention(size_t rows, const float* hidden, float* activations) {
    const BlockSpec& spec = block_.spec();
    const size_t kv_width = spec.kv_heads * spec.head_dim;
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* x = SiteInput(block_, site_, count, hidden + first * spec.hidden,
                                 normed_.data() + worker * n_.chunk * spec.hidden);
      Project(block_, rope_ ? &*rope_ : nullptr, run_.window, first, count, x,
              q_.data() + first * n_.width, k_.data() + first * kv_width,
              v_.data() + first * kv_width, nullptr, nullptr);
    });
    AttendWindows(context_, ShapeOf(spec, run_.window), rows, q_.data(), k_.data(), v_.data(),
                  activations, nullptr, scratch_);
  }

  void Ffn(size_t rows, const float* hidden, float* x, size_t worker) {
    const BlockSpec& spec = block_.spec();
    const float* in =
        SiteInput(block_, site_, rows, hidden, normed_.data() + worker * n_.chunk * spec.hidden);
    float* const gate = spec.gated ? gate_.data() + worker * n_.chunk * n_.width : nullptr;
    FfnHidden(block_, rows, in, gate, x);
  }

  void Inputs(size_t row, size_t rows, const float* hidden) {
    const size_t d = block_.spec().hidden, cols = run_.inputs->cols();
    const PagedMatrix::View inputs(*run_.inputs, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* in = SiteInput(block_, site_, count, hidden + first * d,
                                  normed_.data() + worker * n_.chunk * d);
      for (size_t i = 0; i < count; ++i) {
        float* to = inputs.data() + (first + i) * cols;
        std::copy_n(in + i * d, d, to);
        std::fill(to + d, to + cols, 1.0f);
      }
    });
  }

  void Targets(size_t row, size_t rows, const float* activations) {
    const size_t d = block_.spec().hidden;
    const PagedMatrix::View targets(*run_.targets, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t) {
      float* to = targets.data() + first * d;
      Linear(block_, OutputRole(site_), OutputBiasRole(site_), count,
             activations + first * n_.width, to);
      if (!run_.dense_before) return;
      for (size_t i = 0; i < count * d; ++i) to[i] += residual_[first * d + i];
    });
  }

  // R = beta (Y_dense - Y) + alpha (h_dense - h), method.md section 1.
  void Residual(size_t row, size_t rows, const float* hidden, const float* activations) {
    const size_t d = block_.spec().hidden;
    const PagedMatrix::View before(*run_.dense_before, row, rows, Access::kRead);
    std::optional<PagedMatrix::View> after;
    if (run_.beta != 0) after.emplace(*run_.dense_after, row, rows, Access::kRead);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* h = hidden + first * d;
      const float* hd = before.data() + first * d;
      float* r = residual_.data() + first * d;
      for (size_t i = 0; i < count * d; ++i) r[i] = run_.alpha * (hd[i] - h[i]);
      if (!after) return;
      float* y = normed_.data() + worker * n_.chunk * d;
      Linear(block_, OutputRole(site_), OutputBiasRole(site_), count,
             activations + first * n_.width, y);
      const float* ad = after->data() + first * d;
      for (size_t i = 0; i < count * d; ++i) r[i] += run_.beta * (ad[i] - hd[i] - y[i]);
    });
  }

  const Block& block_;
  const SiteKind site_;
  const SiteRun& run_;
  Context& context_;
  const SiteDemand demand_;
  const size_t tokens_;
  const SiteCounts n_;
  std::optional<RopeTable> rope_;
  std::vector<AttentionScratch> scratch_;
  Buffer<float> normed_, q_, k_, v_, x_, gate_, residual_;
};

// Numbers of the columns that ApplySite gathers.
size_t GatheredOf(const Context& context, size_t flight, size_t width) {
  return WorkerRows(context, flight) * width;
}

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

SiteDemand DemandOf(const SiteRun& run) {
  SiteDemand demand;
  demand.window = run.window;
  demand.page = FlightRows(
      run.window, run.rows(),
      {run.hidden, run.keep, run.inputs, run.targets, run.dense_before, run.dense_after});
  demand.advance = run.advance;
  demand.keep = run.keep != nullptr;
  demand.moments = run.statistics != nullptr;
  demand.gram = run.statistics && run.statistics->has_gram();
  demand.residual = run.dense_before != nullptr;
  demand.inputs = run.inputs != nullptr;
  demand.targets = run.targets != nullptr;
  return demand;
}

void RunSite(const Block& block, SiteKind site, const SiteRun& run) {
  if (run.window == 0 || run.rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  SiteFlight flight(block, site, run);
  const PendingBytes pending(*block.context().budget,
                             (run.statistics ? run.statistics->unmade() : 0) + BytesOf(run.keep) +
                                 BytesOf(run.inputs) + BytesOf(run.targets));
  const PackedWeights packed(block.context(), run.rows(), flight.Matrices());
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

Needs SiteSinkNeeds(const BlockSpec& block, SiteKind site, const SiteDemand& demand,
                    const TokenPages& tokens, bool ones) {
  const size_t d = block.hidden, width = SiteWidth(block, site);
  Needs needs = HeldFloats(tokens.flight() *
                           ((demand.keep ? width : 0) + (demand.inputs ? d + (ones ? 1 : 0) : 0) +
                            (demand.targets ? d : 0)));
  needs.float_flops = SiteFlops(block, site, tokens.rows, demand.window);
  if (demand.gram) needs.float_flops += Statistics::GramFlops(width, tokens.rows);
  return needs;
}

Needs RunSiteNeeds(const Context& context, const BlockSpec& block, SiteKind site,
                   const SiteDemand& demand, const TokenPages& tokens, bool ones) {
  const SiteCounts n(context, block, site, demand);
  // Both dense states beside these.
  const size_t views = demand.residual ? 3 : 1;
  return SiteSinkNeeds(block, site, demand, tokens, ones) + HeldFloats(n.Total()) +
         tokens.View(views * block.hidden);
}

void ApplySite(const Block& block, SiteKind site, PagedMatrix& x, std::span<const int32_t> columns,
               PagedMatrix& hidden) {
  Context& context = block.context();
  const size_t d = block.spec().hidden, width = SiteWidth(block.spec(), site);
  const size_t flight = FlightRows(1, hidden.rows(), {&hidden, &x});
  const size_t chunk = ChunkRows(context, flight);
  auto gathered = context.Allocate<float>(columns.empty() ? 0 : GatheredOf(context, flight, width));
  const PackedWeights packed(context, hidden.rows(), {block.matrix(OutputRole(site))});
  const Scan weights[] = {ScanOf(block, flight, {OutputRole(site)})};
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
      AddOutput(block, site, count, from, h.data() + first * d);
      CheckFinite(block, count, h.data() + first * d);
    });
  }
}

Needs ApplySiteNeeds(const Context& context, const BlockSpec& block, SiteKind site,
                     const TokenPages& tokens) {
  const size_t width = SiteWidth(block, site), flight = tokens.flight();
  Needs needs = HeldFloats(GatheredOf(context, flight, width) + flight * width);
  needs.float_flops = 2.0 * static_cast<double>(tokens.rows * width * block.hidden);
  return needs + tokens.View(block.hidden);
}

double SiteFlops(const BlockSpec& spec, SiteKind site, size_t tokens, size_t window) {
  const double d = static_cast<double>(spec.hidden), rows = static_cast<double>(tokens);
  if (site == SiteKind::kFfn) {
    return rows * 2 * (spec.gated ? 3 : 2) * d * static_cast<double>(spec.ffn);
  }
  const double q = static_cast<double>(spec.heads * spec.head_dim);
  const double kv = static_cast<double>(spec.kv_heads * spec.head_dim);
  // Scores and their product with v, over the keys that causality (and the sliding window) leaves.
  const double w = static_cast<double>(window);
  const double seen =
      spec.sliding && spec.sliding < window ? static_cast<double>(spec.sliding) : w / 2;
  return rows * (2 * d * (2 * q + 2 * kv) + 4 * q * std::min(seen, w / 2));
}

double BlockFlops(const BlockSpec& spec, size_t tokens, size_t window) {
  return SiteFlops(spec, SiteKind::kAttention, tokens, window) +
         SiteFlops(spec, SiteKind::kFfn, tokens, window);
}

}  // namespace struprune
