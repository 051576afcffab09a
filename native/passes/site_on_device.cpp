#include "passes/site_on_device.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "backend/host_pages.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

using cuda::SiteMap;

struct MapParts {
  SiteMap map;
  Part weight, bias;
};
std::vector<MapParts> MapsOf(const Sublayer& layer) {
  std::vector<MapParts> maps;
  for (const MapParts& parts : {MapParts{SiteMap::kQ, Part::kQ, Part::kQBias},
                                {SiteMap::kK, Part::kK, Part::kKBias},
                                {SiteMap::kV, Part::kV, Part::kVBias},
                                {SiteMap::kUp, Part::kUp, Part::kUpBias},
                                {SiteMap::kGate, Part::kGate, Part::kGateBias},
                                {SiteMap::kOut, Part::kOut, Part::kOutBias}}) {
    if (layer.has(parts.weight)) maps.push_back(parts);
  }
  return maps;
}

cuda::SiteVectors VectorsOf(const Sublayer& layer, const RopeTable* rope) {
  cuda::SiteVectors v{};
  const bool before = layer.spec().norm.has_value();
  v.norm = layer.data(before ? Part::kNorm : Part::kStreamNorm);
  v.norm_bias = layer.data(before ? Part::kNormBias : Part::kStreamNormBias);
  v.q_norm = layer.data(Part::kQNorm), v.k_norm = layer.data(Part::kKNorm);
  v.out_norm = layer.data(Part::kOutNorm), v.out_norm_bias = layer.data(Part::kOutNormBias);
  for (const auto& [map, weight, bias] : MapsOf(layer)) {
    v.biases[static_cast<size_t>(map)] = layer.data(bias);
  }
  if (rope) v.cosine = rope->cosines().data(), v.sine = rope->sines().data();
  return v;
}

using OpenSite = OnDevice<cuda::Site, &cuda::Api::site_close>;

void Push(const CudaDevice& gpu, cuda::Site* site, Context& context, const SiteRun& run, size_t row,
          size_t rows) {
  cuda::SitePage page{};
  gpu.Call(&cuda::Api::site_stage, site, &page);
  const auto copy = [&](PagedMatrix& from, float* to) {
    const PagedMatrix::View view(from, row, rows, Access::kRead);
    CopyPage(gpu, context, view.data(), to, rows * from.cols());
  };
  copy(*run.hidden, page.hidden);
  if (run.dense_before) copy(*run.dense_before, page.before);
  if (run.dense_before && run.beta != 0) copy(*run.dense_after, page.after);
  gpu.Call(&cuda::Api::site_push, site, Int(rows));
}

// With a last column of ones where the matrix has one more.
void CopyInputs(const CudaDevice& gpu, Context& context, const float* from, size_t row, size_t rows,
                size_t hidden, PagedMatrix& to) {
  const PagedMatrix::View view(to, row, rows, Access::kWrite);
  if (to.cols() == hidden) return CopyPage(gpu, context, from, view.data(), rows * hidden);
  ForChunks(context, rows, [&](size_t first, size_t count, size_t) {
    for (size_t i = first; i < first + count; ++i) {
      float* end = std::copy_n(from + i * hidden, hidden, view.data() + i * to.cols());
      std::fill(end, view.data() + (i + 1) * to.cols(), 1.0f);
    }
  });
}

void Pop(const CudaDevice& gpu, cuda::Site* site, Context& context, const SiteRun& run, size_t row,
         size_t rows) {
  cuda::SiteResult result{};
  gpu.Call(&cuda::Api::site_pop, site, &result);
  const auto copy = [&](const float* from, PagedMatrix& to) {
    const PagedMatrix::View view(to, row, rows, Access::kWrite);
    CopyPage(gpu, context, from, view.data(), rows * to.cols());
  };
  if (run.advance) copy(result.hidden, *run.hidden);
  if (run.keep) copy(result.x, *run.keep);
  if (run.targets) copy(result.targets, *run.targets);
  if (run.inputs)
    CopyInputs(gpu, context, result.inputs, row, rows, run.hidden->cols(), *run.inputs);
  if (run.advance && result.finite == 0) {
    throw Error("ERR_NAN", "hidden states are no longer finite",
                "the checkpoint may be damaged, or its dtype too narrow for this text");
  }
}

void StreamPages(const CudaDevice& gpu, cuda::Site* site, Context& context, const SiteRun& run,
                 size_t flight) {
  struct Page {
    size_t row, rows;
  };
  std::deque<Page> waiting;
  const auto pop = [&] {
    Pop(gpu, site, context, run, waiting.front().row, waiting.front().rows);
    waiting.pop_front();
  };
  AnnounceFlights(0, run.rows(),
                  {{run.hidden, run.advance ? Access::kUpdate : Access::kRead},
                   {run.keep, Access::kWrite},
                   {run.targets, Access::kWrite},
                   {run.inputs, Access::kWrite},
                   {run.dense_before, Access::kRead},
                   {run.beta != 0 ? run.dense_after : nullptr, Access::kRead}});
  for (size_t row = 0; row < run.rows();) {
    context.CheckAbort();
    if (waiting.size() == 2) pop();
    const Page page{row, run.hidden->Run(row, std::min(flight, run.rows() - row))};
    Push(gpu, site, context, run, page.row, page.rows);
    waiting.push_back(page);
    row += page.rows;
  }
  while (!waiting.empty()) pop();
}

// What a pass over the tokens sums of columns [first, first + count): rows of the Gram, columns of
// the cross products.
void ReadPass(const CudaDevice& gpu, cuda::Site* site, Context& context, Statistics& statistics,
              size_t first, size_t count) {
  if (statistics.has_gram()) {
    BringSums(
        gpu, context, count, statistics.dim(),
        [&](size_t at, size_t some, double* rows) {
          gpu.Call(&cuda::Api::site_gram, site, Int(at), Int(some), rows);
        },
        [&](size_t at, size_t some, const double* rows) {
          statistics.AddGramRows(first + at, some, rows);
        });
  }
  BringSums(
      gpu, context, statistics.residual_dim(), count,
      [&](size_t at, size_t some, double* rows) {
        gpu.Call(&cuda::Api::site_cross, site, Int(at), Int(some), rows);
      },
      [&](size_t at, size_t some, const double* rows) {
        statistics.AddCrossRows(at, some, first, count, rows);
      });
}

// Doubles of the other sums on their way back.
struct MomentCounts {
  size_t sums, residual_sums;
  size_t Total() const { return 2 * sums + residual_sums; }
};

void ReadSums(const CudaDevice& gpu, cuda::Site* site, Context& context, size_t tokens,
              Statistics& statistics) {
  const MomentCounts n{statistics.dim(), statistics.residual_dim()};
  auto squares = context.Allocate<double>(n.sums), sums = context.Allocate<double>(n.sums);
  auto residual_sums = context.Allocate<double>(n.residual_sums);
  double energy = 0;
  gpu.Call(&cuda::Api::site_moments, site, squares.data(), sums.data(), residual_sums.data(),
           &energy);
  statistics.AddSums(tokens, squares.data(), sums.data(), residual_sums.data(), energy);
}

cuda::SiteSpec SpecOf(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                      const SiteRun& run) {
  cuda::SiteSpec spec = struprune::SpecOf(gpu, layer, hidden, DemandOf(run));
  spec.alpha = run.alpha, spec.beta = run.beta;
  return spec;
}

}  // namespace

SitePlan PlanRun(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                 const SiteRun& run) {
  SiteDemand demand = DemandOf(run);
  const bool gram = demand.gram;
  demand.moments |= run.repeats.moments;
  demand.gram |= run.repeats.gram;
  demand.residual |= run.repeats.residual;
  demand.inputs |= run.repeats.inputs;
  demand.targets |= run.repeats.inputs;
  SitePlan plan = PlanSite(gpu, layer, hidden, demand);
  if (!gram) plan.gram_rows = layer.width(), plan.passes = 1;
  // What is taken may be less than what was planned for.
  cuda::SiteSpec spec = SpecOf(gpu, layer, hidden, run);
  spec.flight = Int(plan.flight);
  spec.gram_rows = gram ? Int(plan.gram_rows) : 0;
  gpu.Call(&cuda::Api::site_bytes, &spec, &plan.device_bytes, &plan.pinned_bytes);
  return plan;
}

Needs RunSiteNeedsOnDevice(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                           const SiteDemand& demand, const TokenPages& tokens, bool ones) {
  const size_t width = layer.width(), d = hidden;
  const SitePlan plan = PlanSite(gpu, layer, hidden, demand);
  const size_t rows = std::max(demand.gram ? width : 0, demand.residual ? d : 0);
  const MomentCounts moments{demand.moments ? width : 0, demand.residual ? d : 0};
  const Needs back = HeldDoubles(std::max(SumCount(rows, width), moments.Total()));
  const AttentionSpec* const attention = layer.attention();
  const bool rope = attention && attention->rope;
  const size_t angles = rope ? RopeTable::Count(attention->head_dim, demand.window) : 0;
  Needs needs = SiteSinkNeeds(layer, hidden, demand, tokens, ones) + Held(plan.pinned_bytes) +
                HeldFloats(angles) + tokens.View(d).Then(back);
  needs.device = gpu.memory().used + plan.device_bytes;
  needs.passes = plan.passes;
  return needs;
}

void RunSiteOnDevice(const CudaDevice& gpu, const Sublayer& layer, const SiteRun& run) {
  if (run.window == 0 || run.rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  Context& context = layer.context();
  const size_t width = layer.width();
  if (run.rows() == 0) return;
  const bool gram = run.statistics && run.statistics->has_gram();
  const SitePlan plan = PlanRun(gpu, layer.spec(), layer.hidden(), run);
  const PinnedMemory pinned(gpu, context.budget, plan.pinned_bytes);
  std::optional<RopeTable> rope;
  if (const AttentionSpec* attention = layer.attention(); attention && attention->rope) {
    rope.emplace(context, *attention->rope, attention->head_dim, run.window);
  }
  const cuda::SiteVectors vectors = VectorsOf(layer, rope ? &*rope : nullptr);
  cuda::SiteSpec spec = SpecOf(gpu, layer.spec(), layer.hidden(), run);
  spec.flight = Int(plan.flight);
  spec.gram_rows = gram ? Int(plan.gram_rows) : 0;
  OpenSite open(gpu);
  gpu.Call(&cuda::Api::site_open, &spec, &vectors, open.out());
  pinned.Taken();
  for (const auto& [map, weight, bias] : MapsOf(layer)) {
    SendRows(
        gpu, context, *layer.matrix(weight),
        [&](cuda::WeightRows* rows) { gpu.Call(&cuda::Api::site_weight_stage, open.get(), rows); },
        [&, map = map](size_t row, size_t count) {
          gpu.Call(&cuda::Api::site_weight, open.get(), map, Int(row), Int(count));
        });
  }
  for (size_t row = 0; row < width; row += plan.gram_rows) {
    const size_t count = std::min(plan.gram_rows, width - row);
    const bool last = row + count == width;
    SiteRun pass = run;
    if (!last) {
      // Only the last pass moves the hidden states on, and brings other states.
      pass.advance = false;
      pass.keep = pass.inputs = pass.targets = nullptr;
    }
    gpu.Call(&cuda::Api::site_pass, open.get(), gram ? Int(row) : 0, gram ? Int(count) : 0, last);
    StreamPages(gpu, open.get(), context, pass, plan.flight);
    if (run.statistics) ReadPass(gpu, open.get(), context, *run.statistics, row, count);
    if (last && run.statistics) {
      ReadSums(gpu, open.get(), context, run.rows(), *run.statistics);
    }
  }
}

}  // namespace struprune
