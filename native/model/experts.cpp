#include "model/experts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "model/forward_steps.h"
#include "ops/packed_weights.h"
#include "ops/softmax.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Numbers of the buffers of a flight: a worker's, and the flight's.
struct ExpertCounts {
  ExpertCounts(const Context& context, const ExpertsSpec& spec, size_t hidden,
               const SiteDemand& demand)
      : chunk(ChunkRows(context, demand.page)),
        workers(context.pool.size()),
        states(chunk * hidden),
        logits(chunk * std::max<size_t>(spec.count, 1)),
        channels(chunk * std::max(spec.expert.width, spec.shared ? spec.shared->width : 0)),
        routes(chunk * spec.top_k),
        numbers(demand.moments ? demand.page * 2 * spec.count : 0) {}
  size_t Floats() const { return workers * (4 * states + logits + 2 * channels) + numbers; }

  size_t chunk, workers;
  size_t states, logits, channels, routes, numbers;
};

class ExpertFlight {
 public:
  ExpertFlight(const Sublayer& layer, const SiteRun& run)
      : layer_(layer),
        spec_(*layer.experts()),
        run_(run),
        context_(layer.context()),
        hidden_(layer.hidden()),
        demand_(DemandOf(run)),
        segments_(run.rows(), demand_.page),
        n_(context_, spec_, hidden_, demand_),
        numbers_(context_.Allocate<float>(n_.numbers)) {
    for (size_t i = 0; i < n_.workers; ++i) work_.emplace_back(context_, n_);
  }

  void Run(size_t row) {
    const size_t rows = std::min(tokens(), run_.rows() - row);
    const PagedMatrix::View hidden(*run_.hidden, row, rows,
                                   run_.advance ? Access::kUpdate : Access::kRead);
    std::ranges::fill(numbers_.span(), 0.0f);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      Work& work = work_[worker];
      float* const h = hidden.data() + first * hidden_;
      float* const numbers = numbers_.empty() ? nullptr : numbers_.data() + first * 2 * spec_.count;
      Mix(count, MixerInput(layer_, count, h, work.normed.data()), numbers, work);
      if (!run_.advance) return;
      AddToStream(layer_, count, work.sum.data(), h);
      CheckFinite(layer_, count, h);
    });
    if (run_.statistics) {
      run_.statistics->Add(segments_.At(row), rows, numbers_.data(), nullptr);
    }
  }

  size_t tokens() const { return demand_.page; }

  // The weights of all, as every chunk of a flight reads them.
  Scan Weights() const {
    Scan scan = ScanOf(layer_, tokens(), {Part::kRouter, Part::kSharedGate});
    for (size_t j = 0; j < Inside(); ++j) {
      const Scan own = ScanOf(layer_.inside(j), tokens(), {Part::kUp, Part::kGate, Part::kOut});
      scan.matrices.insert(scan.matrices.end(), own.matrices.begin(), own.matrices.end());
    }
    return scan;
  }

 private:
  struct Work {
    Work(Context& context, const ExpertCounts& n)
        : normed(context.Allocate<float>(n.states)),
          gathered(context.Allocate<float>(n.states)),
          result(context.Allocate<float>(n.states)),
          sum(context.Allocate<float>(n.states)),
          logits(context.Allocate<float>(n.logits)),
          up(context.Allocate<float>(n.channels)),
          gate(context.Allocate<float>(n.channels)),
          routes(n.routes) {}
    Buffer<float> normed, gathered, result, sum, logits, up, gate;
    std::vector<Route> routes;   // top_k a token
    std::vector<size_t> rows;    // of the tokens that pass the expert at hand
    std::vector<float> weights;  // and its weight for each
  };

  size_t Inside() const { return spec_.count + (spec_.shared ? 1 : 0); }

  // work.sum[rows, hidden]: what the experts make of in[rows, hidden], in their order.
  void Mix(size_t rows, const float* in, float* numbers, Work& work) const {
    const size_t k = spec_.top_k;
    Product(layer_, Part::kRouter, rows, in, 0, work.logits.data());
    for (size_t i = 0; i < rows; ++i) {
      ChooseRoutes(spec_, work.logits.data() + i * spec_.count, {&work.routes[i * k], k});
    }
    std::fill_n(work.sum.data(), rows * hidden_, 0.0f);
    for (size_t j = 0; j < spec_.count; ++j) {
      work.rows.clear(), work.weights.clear();
      for (size_t r = 0; r < rows * k; ++r) {
        if (work.routes[r].expert != j) continue;
        work.rows.push_back(r / k), work.weights.push_back(work.routes[r].weight);
      }
      if (!work.rows.empty()) Pass(j, in, numbers, work);
    }
    if (!spec_.shared) return;
    work.rows.resize(rows), work.weights.resize(rows);
    std::iota(work.rows.begin(), work.rows.end(), size_t{0});
    Product(layer_, Part::kSharedGate, rows, in, 0, work.weights.data());
    for (float& weight : work.weights) weight = 1 / (1 + std::exp(-weight));
    Pass(spec_.count, in, nullptr, work);
  }

  // Takes work.rows of `in` through one of those inside, and adds what comes of it by weights.
  void Pass(size_t place, const float* in, float* numbers, Work& work) const {
    const Sublayer expert = layer_.inside(place);
    const size_t count = work.rows.size(), d = hidden_;
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(in + work.rows[i] * d, d, work.gathered.data() + i * d);
    }
    float* const gate = expert.ffn()->gated ? work.gate.data() : nullptr;
    FfnHidden(expert, count, work.gathered.data(), gate, work.up.data());
    Output(expert, count, work.up.data(), work.result.data());
    for (size_t i = 0; i < count; ++i) {
      const float* const from = work.result.data() + i * d;
      float* const to = work.sum.data() + work.rows[i] * d;
      const float weight = work.weights[i];
      for (size_t c = 0; c < d; ++c) to[c] += weight * from[c];
      if (!numbers) continue;
      float* const own = numbers + work.rows[i] * 2 * spec_.count;
      const double squares = std::inner_product(from, from + d, from, 0.0);
      own[place] = static_cast<float>(weight * std::sqrt(squares));
      own[spec_.count + place] = 1;
    }
  }

  const Sublayer layer_;
  const ExpertsSpec& spec_;
  const SiteRun& run_;
  Context& context_;
  const size_t hidden_;
  const SiteDemand demand_;
  const Segments segments_;
  const ExpertCounts n_;
  Buffer<float> numbers_;
  std::vector<Work> work_;
};

// Those of experts that meet about so many of the tokens, in the order in which a chunk has them.
PackedWeights PackedFor(const Sublayer& layer, size_t tokens) {
  const ExpertsSpec& spec = *layer.experts();
  std::vector<PagedMatrix*> matrices;
  for (size_t j = 0; j < spec.count; ++j) {
    for (const Part part : {Part::kUp, Part::kGate, Part::kOut}) {
      PagedMatrix* const matrix = layer.inside(j).matrix(part);
      if (matrix) matrices.push_back(matrix);
    }
  }
  return PackedWeights(layer.context(), tokens * spec.top_k / spec.count, matrices);
}

}  // namespace

void ChooseRoutes(const ExpertsSpec& spec, float* logits, std::span<Route> routes) {
  const size_t count = spec.count;
  const float most = MaximumOf(count, logits, -std::numeric_limits<float>::infinity());
  const float all = ExpInPlace(count, logits, most);
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  const auto larger = [&](size_t a, size_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(routes.size());
  std::partial_sort(order.begin(), end, order.end(), larger);
  float chosen = 0;
  for (auto at = order.begin(); at != end; ++at) chosen += logits[*at];
  for (size_t i = 0; i < routes.size(); ++i) {
    routes[i] = {order[i], logits[order[i]] / (spec.renormalised ? chosen : all)};
  }
}

void RunExperts(const Sublayer& layer, const SiteRun& run) {
  if (run.window == 0 || run.rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  const bool sums = !run.statistics || (!run.statistics->has_gram() &&
                                        run.statistics->dim() == 2 * layer.experts()->count);
  if (!sums || run.keep || run.inputs || run.targets || run.dense_before) {
    throw Error("ERR_ARGUMENT", "experts hand out two numbers each, and nothing else");
  }
  ExpertFlight flight(layer, run);
  const PackedWeights packed = PackedFor(layer, run.rows());
  const Scan weights[] = {flight.Weights()};
  const std::vector<Stream> streams = {{run.hidden, run.advance ? Access::kUpdate : Access::kRead}};
  for (size_t row = 0; row < run.rows(); row += flight.tokens()) {
    AnnounceFlights(row, run.rows(), streams, weights);
    flight.Run(row);
  }
  if (run.statistics) run.statistics->Join();
}

Needs RunExpertsNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand, const TokenPages& tokens) {
  const ExpertCounts n(context, *layer.experts(), hidden, demand);
  Needs needs = HeldFloats(n.Floats()) + tokens.View(hidden);
  needs.float_flops = SublayerFlops(layer, hidden, tokens.rows, demand.window);
  if (!demand.moments) return needs;
  const Statistics::Sizes sums[] = {{2 * layer.experts()->count, false, 0}};
  return needs + Statistics::WaitingNeeds(context, sums, tokens);
}

}  // namespace struprune
