// A site of a block over all tokens, on the context's GPU where it has one and the site has
// columns: not where it is experts, or runs forward alone.
#pragma once

#include "model/forward.h"

namespace struprune {

// As RunSite and RunSiteNeeds (model/forward.h).
void StreamSite(const Sublayer& layer, const SiteRun& run);
Needs StreamSiteNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand, const TokenPages& tokens, bool ones = false);

}  // namespace struprune
