#include "model/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "model/expert_steps.h"
#include "model/forward_steps.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Numbers of the buffers of a worker.
struct FlightCounts {
  FlightCounts(const Context& context, const ExpertsSpec& spec, size_t hidden, size_t page)
      : chunk(ChunkRows(context, page)),
        room(spec, hidden, chunk),
        states(chunk * hidden),
        logits(chunk * spec.count),
        routes(chunk * spec.top_k) {}
  size_t Floats() const { return room.Floats() + 2 * states + logits; }

  size_t chunk;
  ExpertCounts room;
  size_t states, logits, routes;
};

class ExpertFlight {
 public:
  ExpertFlight(const Sublayer& layer, const SiteRun& run)
      : layer_(layer),
        spec_(*layer.experts()),
        run_(run),
        context_(layer.context()),
        hidden_(layer.hidden()),
        tokens_(DemandOf(run).page) {
    const FlightCounts n(context_, spec_, hidden_, tokens_);
    for (size_t i = 0; i < context_.pool.size(); ++i) work_.emplace_back(context_, n);
  }

  void Run(size_t row) {
    const size_t rows = std::min(tokens_, run_.rows() - row);
    const PagedMatrix::View hidden(*run_.hidden, row, rows, Access::kUpdate);
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      Work& work = work_[worker];
      float* const h = hidden.data() + first * hidden_;
      Mix(count, MixerInput(layer_, count, h, work.normed.data()), work);
      AddToStream(layer_, count, work.sum.data(), h);
      CheckFinite(layer_, count, h);
    });
  }

  size_t tokens() const { return tokens_; }

 private:
  struct Work {
    Work(Context& context, const FlightCounts& n)
        : room(context, n.room),
          normed(context.Allocate<float>(n.states)),
          sum(context.Allocate<float>(n.states)),
          logits(context.Allocate<float>(n.logits)),
          routes(n.routes) {}
    ExpertRoom room;
    Buffer<float> normed, sum, logits;
    std::vector<Route> routes;   // top_k a token
    std::vector<size_t> rows;    // of the tokens that pass the expert at hand
    std::vector<float> weights;  // and its weight for each
  };

  // work.sum[rows, hidden]: what the experts make of in[rows, hidden], in their order.
  void Mix(size_t rows, const float* in, Work& work) const {
    const size_t k = spec_.top_k;
    RouteTokens(layer_, rows, in, work.logits.data(), work.routes.data());
    std::fill_n(work.sum.data(), rows * hidden_, 0.0f);
    for (size_t j = 0; j < spec_.count; ++j) {
      work.rows.clear(), work.weights.clear();
      for (size_t r = 0; r < rows * k; ++r) {
        if (work.routes[r].expert != j) continue;
        work.rows.push_back(r / k), work.weights.push_back(work.routes[r].weight);
      }
      if (!work.rows.empty()) Pass(j, in, work);
    }
    if (!spec_.shared) return;
    work.rows.resize(rows), work.weights.resize(rows);
    std::iota(work.rows.begin(), work.rows.end(), size_t{0});
    if (spec_.shared_gated) {
      Product(layer_, Part::kSharedGate, rows, in, 0, work.weights.data());
      for (float& weight : work.weights) weight = 1 / (1 + std::exp(-weight));
    } else {
      std::ranges::fill(work.weights, 1.0f);
    }
    Pass(spec_.count, in, work);
  }

  // Takes work.rows of `in` through one of those inside, and adds what comes of it by weights.
  void Pass(size_t place, const float* in, Work& work) const {
    PassExpert(layer_.inside(place), work.rows, in, work.room);
    for (size_t i = 0; i < work.rows.size(); ++i) {
      const float* const from = work.room.result.data() + i * hidden_;
      float* const to = work.sum.data() + work.rows[i] * hidden_;
      for (size_t c = 0; c < hidden_; ++c) to[c] += work.weights[i] * from[c];
    }
  }

  const Sublayer layer_;
  const ExpertsSpec& spec_;
  const SiteRun& run_;
  Context& context_;
  const size_t hidden_, tokens_;
  std::vector<Work> work_;
};

}  // namespace

void RunExperts(const Sublayer& layer, const SiteRun& run) {
  if (run.window == 0 || run.rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  if (!run.advance || run.statistics || run.keep || run.inputs || run.targets || run.dense_before) {
    throw Error("ERR_ARGUMENT", "a run through experts takes the states on, and nothing else");
  }
  ExpertFlight flight(layer, run);
  const auto [begin, end] = run.held();
  const PackedWeights packed = PackedExperts(layer, end - begin);
  const Scan weights[] = {ScanOfExperts(layer, flight.tokens())};
  for (size_t row = begin; row < end; row += flight.tokens()) {
    AnnounceFlights(row, end, {{run.hidden, Access::kUpdate}}, weights);
    flight.Run(row);
  }
}

Needs RunExpertsNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand, const TokenPages& tokens) {
  const FlightCounts n(context, *layer.experts(), hidden, demand.page);
  Needs needs = HeldFloats(context.pool.size() * n.Floats()) + tokens.View(hidden);
  needs.float_flops = SublayerFlops(layer, hidden, tokens.held(), demand.window);
  return needs;
}

}  // namespace struprune
