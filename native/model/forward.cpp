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

// Buffers of one flight, made once a call.
class SiteFlight {
 public:
  SiteFlight(const Block& block, SiteKind site, const SiteRun& run)
      : block_(block),
        site_(site),
        run_(run),
        context_(block.context()),
        tokens_(FlightRows(
            run.window, run.rows(),
            {run.hidden, run.keep, run.inputs, run.targets, run.dense_before, run.dense_after})),
        chunk_(ChunkRows(context_, tokens_)),
        width_(SiteWidth(block.spec(), site)),
        keeps_activations_(run.statistics || run.keep || run.targets) {
    const BlockSpec& spec = block.spec();
    const size_t workers = context_.pool.size();
    normed_ = context_.Allocate<float>(workers * chunk_ * spec.hidden);
    if (site == SiteKind::kAttention) {
      q_ = context_.Allocate<float>(tokens_ * width_);
      k_ = context_.Allocate<float>(tokens_ * spec.kv_heads * spec.head_dim);
      v_ = context_.Allocate<float>(tokens_ * spec.kv_heads * spec.head_dim);
      if (!run.keep) x_ = context_.Allocate<float>(tokens_ * width_);
      if (spec.rope) rope_.emplace(context_, *spec.rope, spec.head_dim, run.window);
      scratch_.resize(workers);
    } else {
      const size_t rows = keeps_activations_ ? tokens_ : workers * chunk_;
      if (!run.keep) x_ = context_.Allocate<float>(rows * width_);
      if (spec.gated) gate_ = context_.Allocate<float>(workers * chunk_ * width_);
    }
    if (run.dense_before) residual_ = context_.Allocate<float>(tokens_ * spec.hidden);
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
    if (site_ == SiteKind::kAttention) {
      Attention(rows, hidden.data(), activations);
    } else if (keeps_activations_) {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        Ffn(count, hidden.data() + first * block_.spec().hidden, activations + first * width_,
            worker);
      });
    } else {
      ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
        float* h = hidden.data() + first * block_.spec().hidden;
        float* x = x_.data() + worker * chunk_ * width_;
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
        AddOutput(block_, site_, count, activations + first * width_, h);
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
    if (!keeps_activations_ && !run_.advance) return scans;
    if (site_ == SiteKind::kAttention) {
      scans.push_back(scan({Role::kQ, Role::kK, Role::kV}));
    } else if (keeps_activations_) {
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
                                 normed_.data() + worker * chunk_ * spec.hidden);
      Project(block_, rope_ ? &*rope_ : nullptr, run_.window, first, count, x,
              q_.data() + first * width_, k_.data() + first * kv_width,
              v_.data() + first * kv_width, nullptr, nullptr);
    });
    AttendWindows(context_, ShapeOf(spec, run_.window), rows, q_.data(), k_.data(), v_.data(),
                  activations, nullptr, scratch_);
  }

  void Ffn(size_t rows, const float* hidden, float* x, size_t worker) {
    const BlockSpec& spec = block_.spec();
    const float* in =
        SiteInput(block_, site_, rows, hidden, normed_.data() + worker * chunk_ * spec.hidden);
    float* const gate = spec.gated ? gate_.data() + worker * chunk_ * width_ : nullptr;
    FfnHidden(block_, rows, in, gate, x);
  }

  void Inputs(size_t row, size_t rows, const float* hidden) {
    const size_t d = block_.spec().hidden, cols = run_.inputs->cols();
    const PagedMatrix::View inputs(*run_.inputs, row, rows, Access::kWrite);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const float* in =
          SiteInput(block_, site_, count, hidden + first * d, normed_.data() + worker * chunk_ * d);
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
      Linear(block_, OutputRole(site_), OutputBiasRole(site_), count, activations + first * width_,
             to);
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
      float* y = normed_.data() + worker * chunk_ * d;
      Linear(block_, OutputRole(site_), OutputBiasRole(site_), count, activations + first * width_,
             y);
      const float* ad = after->data() + first * d;
      for (size_t i = 0; i < count * d; ++i) r[i] += run_.beta * (ad[i] - hd[i] - y[i]);
    });
  }

  const Block& block_;
  const SiteKind site_;
  const SiteRun& run_;
  Context& context_;
  const size_t tokens_, chunk_, width_;  // chunk_: most rows of a task
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

void ApplySite(const Block& block, SiteKind site, PagedMatrix& x, std::span<const int32_t> columns,
               PagedMatrix& hidden) {
  Context& context = block.context();
  const size_t d = block.spec().hidden, width = SiteWidth(block.spec(), site);
  const size_t flight = FlightRows(1, hidden.rows(), {&hidden, &x});
  const size_t chunk = ChunkRows(context, flight);
  auto gathered =
      context.Allocate<float>(columns.empty() ? 0 : context.pool.size() * chunk * width);
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

double BlockFlops(const BlockSpec& spec, size_t tokens, size_t window) {
  const double d = static_cast<double>(spec.hidden);
  const double q = static_cast<double>(spec.heads * spec.head_dim);
  const double kv = static_cast<double>(spec.kv_heads * spec.head_dim);
  const double weights =
      d * (2 * q + 2 * kv) + (spec.gated ? 3 : 2) * d * static_cast<double>(spec.ffn);
  // Scores and their product with v, over the keys that causality (and the sliding window) leaves.
  const double w = static_cast<double>(window);
  const double seen =
      spec.sliding && spec.sliding < window ? static_cast<double>(spec.sliding) : w / 2;
  return static_cast<double>(tokens) * (2 * weights + 4 * q * std::min(seen, w / 2));
}

}  // namespace struprune
