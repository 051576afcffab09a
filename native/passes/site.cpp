#include "passes/site.h"

#include "model/experts.h"
#include "passes/site_on_device.h"

namespace struprune {

// A site without columns is its bias alone: no work for a GPU.
void StreamSite(const Sublayer& layer, const SiteRun& run) {
  if (layer.experts()) return RunExperts(layer, run);
  const CudaDevice* const gpu = layer.context().gpu.get();
  if (gpu && layer.width() > 0) return RunSiteOnDevice(*gpu, layer, run);
  RunSite(layer, run);
}

Needs StreamSiteNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand, const TokenPages& tokens, bool ones) {
  if (layer.experts()) return RunExpertsNeeds(context, layer, hidden, demand, tokens);
  return context.gpu && layer.width() > 0
             ? RunSiteNeedsOnDevice(*context.gpu, layer, hidden, demand, tokens, ones)
             : RunSiteNeeds(context, layer, hidden, demand, tokens, ones);
}

}  // namespace struprune
