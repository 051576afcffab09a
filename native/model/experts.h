// Running a sublayer of experts over paged hidden states: a token passes those that it is routed
// to, and no other.
#pragma once

#include "model/forward.h"

namespace struprune {

// RunSite for experts, on the CPU. There are no sums and sinks but those of expert_sums.h:
// ERR_ARGUMENT.
void RunExperts(const Sublayer& layer, const SiteRun& run);
Needs RunExpertsNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand, const TokenPages& tokens);

}  // namespace struprune
