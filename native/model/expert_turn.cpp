#include "model/expert_turn.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "model/expert_steps.h"
#include "model/forward_steps.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Numbers of the buffers of a worker, and of the flight.
struct TurnCounts {
  TurnCounts(const Context& context, const ExpertsSpec& spec, size_t hidden, size_t page)
      : chunk(ChunkRows(context, page)),
        room(spec, hidden, chunk),
        logits(chunk * spec.count),
        states(page * hidden),
        inputs(page * spec.expert.width) {}
  size_t Floats(size_t workers) const {
    return workers * (room.Floats() + logits) + 2 * states + inputs;
  }

  size_t chunk;
  ExpertCounts room;
  size_t logits;
  size_t states, inputs;
};

class TurnFlight {
 public:
  TurnFlight(const Sublayer& layer, const ExpertTurn& turn, size_t page)
      : layer_(layer),
        spec_(*layer.experts()),
        turn_(turn),
        context_(layer.context()),
        hidden_(layer.hidden()),
        page_(page),
        segments_(turn.hidden->rows(), page, turn.hidden->share()),
        routes_(page * spec_.top_k) {
    const TurnCounts n(context_, spec_, hidden_, page);
    normed_ = context_.Allocate<float>(n.states);
    missing_ = context_.Allocate<float>(n.states);
    inputs_ = context_.Allocate<float>(n.inputs);
    for (size_t i = 0; i < context_.pool.size(); ++i) work_.emplace_back(context_, n);
  }

  void Run(size_t row) {
    const size_t rows = std::min(page_, turn_.hidden->rows() - row);
    const PagedMatrix::View hidden(*turn_.hidden, row, rows, Access::kRead);
    std::optional<PagedMatrix::View> residual;
    if (turn_.residual) residual.emplace(*turn_.residual, row, rows, Access::kUpdate);
    ChooseAll(rows, hidden.data());
    if (turn_.back && residual) {
      Gather(*turn_.back, rows, hidden.data());
      Add(*turn_.back, -1, residual->data());
    }
    if (turn_.out) {
      Gather(*turn_.out, rows, hidden.data());
      Collect(segments_.At(row), residual ? residual->data() : nullptr);
      if (residual) Add(*turn_.out, 1, residual->data());
    }
  }

  const Segments& segments() const { return segments_; }

 private:
  struct Work {
    Work(Context& context, const TurnCounts& n)
        : room(context, n.room), logits(context.Allocate<float>(n.logits)) {}
    ExpertRoom room;
    Buffer<float> logits;
  };

  void ChooseAll(size_t rows, const float* hidden) {
    ForChunks(context_, rows, [&](size_t first, size_t count, size_t worker) {
      const size_t at = first * hidden_;
      const float* const in = MixerInput(layer_, count, hidden + at, normed_.data() + at);
      RouteTokens(layer_, count, in, work_[worker].logits.data(), &routes_[first * spec_.top_k]);
    });
  }

  // rows_[n] that are routed to an expert, and inputs_[n, width] of its output map, weighed.
  void Gather(size_t expert, size_t rows, const float* hidden) {
    const size_t k = spec_.top_k, width = layer_.inside(expert).width();
    std::vector<float> weights;
    rows_.clear();
    for (size_t r = 0; r < rows * k; ++r) {
      if (routes_[r].expert != expert) continue;
      rows_.push_back(r / k), weights.push_back(routes_[r].weight);
    }
    const float* const in = layer_.spec().norm ? normed_.data() : hidden;
    ForChunks(context_, rows_.size(), [&](size_t first, size_t count, size_t worker) {
      ExpertRoom& room = work_[worker].room;
      ExpertHidden(layer_.inside(expert), std::span(rows_).subspan(first, count), in, room);
      for (size_t i = 0; i < count; ++i) {
        const float* const from = room.up.data() + i * width;
        float* const to = inputs_.data() + (first + i) * width;
        for (size_t c = 0; c < width; ++c) to[c] = weights[first + i] * from[c];
      }
    });
  }

  void Collect(size_t segment, const float* residual) {
    if (rows_.empty()) return;
    const bool crosses = turn_.statistics->residual_dim() > 0;
    for (size_t i = 0; crosses && i < rows_.size(); ++i) {
      std::copy_n(residual + rows_[i] * hidden_, hidden_, missing_.data() + i * hidden_);
    }
    turn_.statistics->Add(segment, rows_.size(), inputs_.data(),
                          crosses ? missing_.data() : nullptr);
  }

  // residual[rows_] += sign * what the output map makes of inputs_.
  void Add(size_t expert, float sign, float* residual) {
    const Sublayer ffn = layer_.inside(expert);
    ForChunks(context_, rows_.size(), [&](size_t first, size_t count, size_t worker) {
      float* const result = work_[worker].room.result.data();
      Product(ffn, Part::kOut, count, inputs_.data() + first * ffn.width(), 0, result);
      for (size_t i = 0; i < count; ++i) {
        float* const to = residual + rows_[first + i] * hidden_;
        for (size_t c = 0; c < hidden_; ++c) to[c] += sign * result[i * hidden_ + c];
      }
    });
  }

  const Sublayer layer_;
  const ExpertsSpec& spec_;
  const ExpertTurn& turn_;
  Context& context_;
  const size_t hidden_, page_;
  const Segments segments_;
  std::vector<Route> routes_;  // top_k a token of the page
  std::vector<size_t> rows_;   // of the page, that pass the expert at hand
  Buffer<float> normed_, missing_, inputs_;
  std::vector<Work> work_;
};

void Check(const Sublayer& layer, const ExpertTurn& turn) {
  const auto require = [](bool fits, const char* what) {
    if (!fits) throw Error("ERR_ARGUMENT", what);
  };
  const ExpertsSpec& spec = *layer.experts();
  for (const auto& expert : {turn.back, turn.out}) {
    require(!expert || *expert < spec.count, "an expert that is not there");
  }
  const PagedMatrix& hidden = *turn.hidden;
  require(hidden.cols() == layer.hidden() &&
              (!turn.residual ||
               (turn.residual->cols() == layer.hidden() && turn.residual->rows() == hidden.rows())),
          "hidden states or their residual have another shape");
  require(turn.out.has_value() == (turn.statistics != nullptr),
          "sums are of the expert that is taken out");
  if (!turn.statistics) return;
  const size_t crosses = turn.statistics->residual_dim();
  require(turn.statistics->dim() == layer.inside(*turn.out).width() &&
              (crosses == 0 || (turn.residual && crosses == layer.hidden())),
          "sums of an expert have another width");
}

}  // namespace

void TurnExpert(const Sublayer& layer, const ExpertTurn& turn) {
  Check(layer, turn);
  const ExpertsSpec& spec = *layer.experts();
  const size_t rows = turn.hidden->rows();
  const size_t page = FlightRows(turn.window, rows, {turn.hidden, turn.residual});
  TurnFlight flight(layer, turn, page);
  const PendingBytes pending(*layer.context().budget,
                             turn.statistics ? turn.statistics->Unmade(flight.segments()) : 0);
  std::vector<PagedMatrix*> weights;
  std::vector<Scan> scans = {ScanOf(layer, page, {Part::kRouter})};
  for (const auto& expert : {turn.back, turn.out}) {
    if (!expert) continue;
    const Sublayer ffn = layer.inside(*expert);
    for (const Part part : {Part::kUp, Part::kGate, Part::kOut}) {
      if (PagedMatrix* const matrix = ffn.matrix(part)) weights.push_back(matrix);
    }
    scans.push_back(ScanOf(ffn, page, {Part::kUp, Part::kGate}));
    scans.push_back(ScanOf(ffn, page, {Part::kOut}));
  }
  const auto [begin, end] = turn.hidden->held();
  const PackedWeights packed(layer.context(), (end - begin) * spec.top_k / spec.count, weights);
  for (size_t row = begin; row < end; row += page) {
    AnnounceFlights(row, end, {{turn.hidden, Access::kRead}, {turn.residual, Access::kUpdate}},
                    scans);
    flight.Run(row);
  }
  if (turn.statistics) turn.statistics->Join();
}

Needs TurnExpertNeeds(const Context& context, const SublayerSpec& layer, const TurnDemand& demand,
                      size_t hidden, size_t window, const TokenPages& tokens) {
  ExpertsSpec spec = *layer.experts();
  spec.count = demand.left;
  const size_t width = spec.expert.width, routed = tokens.held() * spec.top_k / demand.left;
  const TurnCounts n(context, spec, hidden, tokens.flight());
  const Statistics::Sizes sums[] = {{width, demand.gram, demand.residual ? hidden : 0}};
  const size_t missing = demand.residual ? tokens.flight() * hidden : 0;
  Needs needs = HeldFloats(n.Floats(context.pool.size()) + missing) + tokens.View(hidden) +
                Statistics::WaitingNeeds(context, sums, tokens);
  // Out of the output, and back.
  const double passed = SublayerFlops(InsideOf(layer).front(), hidden, routed, window);
  needs.float_flops = 2.0 * static_cast<double>(tokens.held() * hidden * spec.count) +
                      (demand.residual ? 2 : 1) * passed +
                      (demand.gram ? Statistics::GramFlops(width, routed) : 0);
  return needs;
}

}  // namespace struprune
