#include "passes/site.h"

#include "model/experts.h"
#include "passes/site_on_device.h"

namespace struprune {

namespace {

// A site without columns is its bias alone: no work for a GPU.
const CudaDevice* DeviceFor(const Context& context, const SublayerSpec& layer) {
  return layer.width() > 0 && !layer.forward_alone() ? context.gpu.get() : nullptr;
}

}  // namespace

void StreamSite(const Sublayer& layer, const SiteRun& run) {
  if (layer.experts()) return RunExperts(layer, run);
  if (const CudaDevice* const gpu = DeviceFor(layer.context(), layer.spec())) {
    return RunSiteOnDevice(*gpu, layer, run);
  }
  RunSite(layer, run);
}

Needs StreamSiteNeeds(const Context& context, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand, const TokenPages& tokens, bool ones) {
  if (layer.experts()) return RunExpertsNeeds(context, layer, hidden, demand, tokens);
  const CudaDevice* const gpu = DeviceFor(context, layer);
  return gpu ? RunSiteNeedsOnDevice(*gpu, layer, hidden, demand, tokens, ones)
             : RunSiteNeeds(context, layer, hidden, demand, tokens, ones);
}

}  // namespace struprune
