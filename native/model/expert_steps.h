// What every pass over experts is made of: which of them a token passes, and tokens on their way
// through one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "model/block.h"
#include "ops/packed_weights.h"

namespace struprune {

// One of the experts that a token passes, and what its result is multiplied by.
struct Route {
  size_t expert = 0;
  float weight = 0;
};

// The largest of values[count], largest first, of equal ones the first: as many as `places` has.
void LargestOf(std::span<const float> values, std::span<size_t> places);

// What a sum of sigmoids is larger by where it divides them, as in transformers.
inline constexpr float kSigmoidSum = 1e-6f;

// Makes sigmoids of a token's logits[count]. Returns what is compared of each expert: its sigmoid,
// with the sublayer's bias where it has one that chooses.
std::vector<float> SigmoidsAndScores(const Sublayer& layer, std::span<float> logits);

// Chooses routes[top_k] by a token's logits[count], which become its probabilities: of a softmax
// the exponentials.
void ChooseRoutes(const Sublayer& layer, std::span<float> logits, std::span<Route> routes);

// logits[rows, count] of in[rows, hidden], which the router reads.
void RouterLogits(const Sublayer& layer, size_t rows, const float* in, float* logits);

// Both for each token: routes[rows, top_k] by in[rows, hidden]; logits[rows,
// count] is room.
void RouteTokens(const Sublayer& layer, size_t rows, const float* in, float* logits, Route* routes);

// Numbers of the buffers that tokens need on their way through an expert, at most so many at once.
struct ExpertCounts {
  ExpertCounts(const ExpertsSpec& spec, size_t hidden, size_t tokens);
  size_t Floats() const { return 2 * states + 2 * channels; }
  size_t states, channels;
};

struct ExpertRoom {
  ExpertRoom(Context& context, const ExpertCounts& n);
  Buffer<float> gathered, result, up, gate;
};

// room.up[rows, width]: what the output map of an FFN of experts reads, of those rows of in[,
// hidden].
void ExpertHidden(const Sublayer& expert, std::span<const size_t> rows, const float* in,
                  ExpertRoom& room);

// room.result[rows, hidden]: what such an FFN makes of them.
void PassExpert(const Sublayer& expert, std::span<const size_t> rows, const float* in,
                ExpertRoom& room);

// The weights of a sublayer of experts, as every chunk of a flight of so many tokens reads them.
Scan ScanOfExperts(const Sublayer& layer, size_t tokens);

// Those of experts that meet about their share of the tokens, in the order in which a chunk has
// them.
PackedWeights PackedExperts(const Sublayer& layer, size_t tokens);

}  // namespace struprune
