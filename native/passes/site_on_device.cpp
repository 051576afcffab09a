#include "passes/site_on_device.h"

#include <algorithm>

#include "backend/host_pages.h"
#include "passes/site_body.h"

namespace struprune {
namespace {

constexpr size_t kMostPasses = 64;

// Sets the bytes of a plan.
void Measure(const CudaDevice& gpu, SiteShape shape, SitePlan& plan) {
  shape.flight = plan.flight;
  shape.gram_rows = shape.demand.gram ? plan.gram_rows : 0;
  const BodyBytes bytes = SiteBytes(gpu, shape);
  plan.device_bytes = bytes.device, plan.pinned_bytes = bytes.pinned;
}

}  // namespace

SitePlan PlanSite(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                  const SiteDemand& demand) {
  // The case that needs more.
  const SiteShape shape{layer, hidden, demand, true};
  const size_t width = layer.width();
  const cuda::MemoryReport memory = gpu.memory();
  const uint64_t room = memory.limit - memory.used;
  SitePlan plan;
  for (size_t parts = 1; parts <= (demand.gram ? kMostPasses : 1); parts *= 2) {
    // Passes that begin at whole 16 bytes of bf16: cuBLAS has its fast kernels for those.
    plan.gram_rows = std::min(width, ((width + parts - 1) / parts + 7) / 8 * 8);
    plan.passes = (width + plan.gram_rows - 1) / plan.gram_rows;
    for (size_t windows = demand.page / demand.window; windows >= 1; windows /= 2) {
      plan.flight = windows * demand.window;
      Measure(gpu, shape, plan);
      if (plan.device_bytes <= room) return plan;
    }
  }
  ThrowNoRoom("one block", plan.device_bytes, room,
              "raise --device-memory, or use a smaller --window");
}

SitePlan PlanRun(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                 const SiteRun& run) {
  const SiteDemand own = DemandOf(run);
  SiteDemand all = own;
  all.moments |= run.repeats.moments;
  all.gram |= run.repeats.gram;
  all.residual |= run.repeats.residual;
  all.inputs |= run.repeats.inputs;
  all.targets |= run.repeats.inputs;
  SitePlan plan = PlanSite(gpu, layer, hidden, all);
  if (!own.gram) plan.gram_rows = layer.width(), plan.passes = 1;
  // What is taken may be less than what was planned for.
  Measure(gpu, {layer, hidden, own, run.beta != 0}, plan);
  return plan;
}

Needs RunSiteNeedsOnDevice(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                           const SiteDemand& demand, const TokenPages& tokens, bool ones) {
  const size_t width = layer.width(), d = hidden;
  const SitePlan plan = PlanSite(gpu, layer, hidden, demand);
  const size_t rows = std::max(demand.gram ? width : 0, demand.residual ? d : 0);
  const MomentCounts moments{demand.moments ? width : 0, demand.residual ? d : 0};
  const Needs back = HeldDoubles(std::max(SumCount(rows, width), moments.Total()));
  const AttentionSpec* const attention = layer.attention();
  const bool rope = attention && attention->rope;
  const size_t angles =
      rope ? RopeTable::Count(*attention->rope, attention->head_dim, demand.window) : 0;
  Needs needs = SiteSinkNeeds(layer, hidden, demand, tokens, ones) + Held(plan.pinned_bytes) +
                HeldFloats(angles).Then(tokens.View(d).Then(back));
  needs.device = gpu.memory().used + plan.device_bytes;
  needs.passes = plan.passes;
  return needs;
}

void RunSiteOnDevice(const CudaDevice& gpu, const Sublayer& layer, const SiteRun& run) {
  if (run.window == 0 || run.rows() % run.window != 0) {
    throw Error("ERR_ARGUMENT", "hidden states must hold whole windows");
  }
  if (run.rows() == 0) return;
  const SitePlan plan = PlanRun(gpu, layer.spec(), layer.hidden(), run);
  const PinnedMemory pinned(gpu, layer.context().budget, plan.pinned_bytes);
  SiteShape shape{layer.spec(), layer.hidden(), DemandOf(run), run.beta != 0, plan.flight};
  if (shape.demand.gram) shape.gram_rows = plan.gram_rows;
  SiteBody body(gpu, layer, run, shape);
  pinned.Taken();
  body.LoadWeights();
  for (size_t row = 0; row < layer.width(); row += plan.gram_rows) {
    const size_t count = std::min(plan.gram_rows, layer.width() - row);
    body.Pass(row, count, row + count == layer.width());
  }
}

}  // namespace struprune
