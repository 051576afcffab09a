// Running a sublayer of experts over paged hidden states: a token passes those that it is routed
// to, and no other.
#pragma once

#include <span>

#include "model/forward.h"

namespace struprune {

// One of the experts that a token passes, and what its result is multiplied by.
struct Route {
  size_t expert = 0;
  float weight = 0;
};

// Chooses routes[top_k] by a token's logits[count], which become the exponentials of its softmax.
// Of equal ones the first.
void ChooseRoutes(const ExpertsSpec& spec, float* logits, std::span<Route> routes);

// RunSite for experts, on the CPU. Statistics, without a Gram, are of [tokens, 2 count] numbers:
// for every expert the norm of what it adds to the token, its weight included, and then whether the
// token passes it (0 or 1). There are no other sinks: ERR_ARGUMENT.
void RunExperts(const Sublayer& layer, const SiteRun& run);
Needs RunExpertsNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand, const TokenPages& tokens);

}  // namespace struprune
