#include "model/expert_steps.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/forward_steps.h"
#include "ops/softmax.h"

namespace struprune {

void LargestOf(std::span<const float> values, std::span<size_t> places) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto larger = [&](size_t a, size_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  };
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(places.size());
  std::partial_sort(order.begin(), end, order.end(), larger);
  std::copy(order.begin(), end, places.begin());
}

std::vector<float> SigmoidsAndScores(const Sublayer& layer, std::span<float> logits) {
  for (float& logit : logits) logit = 1 / (1 + std::exp(-logit));
  std::vector<float> scores(logits.begin(), logits.end());
  if (layer.has(Part::kChoiceBias)) {
    const float* const bias = layer.data(Part::kChoiceBias);
    for (size_t j = 0; j < scores.size(); ++j) scores[j] += bias[j];
  }
  return scores;
}

void ChooseRoutes(const Sublayer& layer, std::span<float> logits, std::span<Route> routes) {
  const ExpertsSpec& spec = *layer.experts();
  std::vector<size_t> places(routes.size());
  float all = 1, chosen = 0;
  if (spec.sigmoid) {
    LargestOf(SigmoidsAndScores(layer, logits), places);
    chosen = kSigmoidSum;
  } else {
    LargestOf(logits, places);
    all = ExpInPlace(logits.size(), logits.data(), logits[places.front()]);
  }
  for (const size_t place : places) chosen += logits[place];
  for (size_t i = 0; i < routes.size(); ++i) {
    routes[i] = {places[i], logits[places[i]] / (spec.renormalised ? chosen : all)};
  }
}

void RouterLogits(const Sublayer& layer, size_t rows, const float* in, float* logits) {
  Linear(layer, Part::kRouter, Part::kRouterBias, rows, in, logits);
}

void RouteTokens(const Sublayer& layer, size_t rows, const float* in, float* logits,
                 Route* routes) {
  const ExpertsSpec& spec = *layer.experts();
  RouterLogits(layer, rows, in, logits);
  for (size_t i = 0; i < rows; ++i) {
    ChooseRoutes(layer, {logits + i * spec.count, spec.count},
                 {routes + i * spec.top_k, spec.top_k});
  }
}

ExpertCounts::ExpertCounts(const ExpertsSpec& spec, size_t hidden, size_t tokens)
    : states(tokens * hidden),
      channels(tokens * std::max(spec.expert.width, spec.shared ? spec.shared->width : 0)) {}

ExpertRoom::ExpertRoom(Context& context, const ExpertCounts& n)
    : gathered(context.Allocate<float>(n.states)),
      result(context.Allocate<float>(n.states)),
      up(context.Allocate<float>(n.channels)),
      gate(context.Allocate<float>(n.channels)) {}

void ExpertHidden(const Sublayer& expert, std::span<const size_t> rows, const float* in,
                  ExpertRoom& room) {
  const size_t d = expert.hidden();
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(in + rows[i] * d, d, room.gathered.data() + i * d);
  }
  float* const gate = expert.ffn()->gated ? room.gate.data() : nullptr;
  FfnHidden(expert, rows.size(), room.gathered.data(), gate, room.up.data());
}

void PassExpert(const Sublayer& expert, std::span<const size_t> rows, const float* in,
                ExpertRoom& room) {
  ExpertHidden(expert, rows, in, room);
  Output(expert, rows.size(), room.up.data(), room.result.data());
}

Scan ScanOfExperts(const Sublayer& layer, size_t tokens) {
  const ExpertsSpec& spec = *layer.experts();
  Scan scan = ScanOf(layer, tokens, {Part::kRouter, Part::kSharedGate});
  for (size_t j = 0; j < spec.count + (spec.shared ? 1 : 0); ++j) {
    const Scan own = ScanOf(layer.inside(j), tokens, {Part::kUp, Part::kGate, Part::kOut});
    scan.matrices.insert(scan.matrices.end(), own.matrices.begin(), own.matrices.end());
  }
  return scan;
}

PackedWeights PackedExperts(const Sublayer& layer, size_t tokens) {
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

}  // namespace struprune
