#include "passes/site_plan.h"

#include <algorithm>
#include <string>

#include "model/forward_steps.h"

namespace struprune {
namespace {

constexpr size_t kMostPasses = 64;

}  // namespace

cuda::Gate GateOf(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return cuda::Gate::kSilu;
    case Activation::kRelu:
      return cuda::Gate::kRelu;
    case Activation::kGelu:
      return cuda::Gate::kGelu;
    case Activation::kGeluTanh:
      return cuda::Gate::kGeluTanh;
  }
  throw Error("ERR_INTERNAL", "an activation that the GPU does not know");
}

cuda::SiteSpec SpecOf(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand) {
  cuda::SiteSpec spec{};
  spec.hidden = Int(hidden);
  spec.width = Int(layer.width());
  spec.window = Int(demand.window);
  if (const AttentionSpec* attention = layer.attention()) {
    spec.attention = true;
    spec.heads = Int(attention->heads());
    spec.kv_heads = Int(attention->kv_heads);
    spec.head_dim = Int(attention->head_dim);
    spec.sliding = Int(attention->sliding);
    spec.scale = ShapeOf(*attention, demand.window).scale;
  } else {
    spec.gate = GateOf(layer.ffn()->activation);
    spec.gated = layer.ffn()->gated;
  }
  spec.post_norm = layer.stream_norm.has_value();
  spec.out_norm = layer.out_norm.has_value();
  const NormSpec norm = layer.stream_norm.value_or(layer.norm.value_or(NormSpec{}));
  spec.norm = norm.kind == NormKind::kRms ? cuda::Norm::kRms : cuda::Norm::kLayer;
  spec.eps = norm.eps;
  spec.advance = demand.advance;
  spec.keep = demand.keep;
  spec.moments = demand.moments;
  spec.residual = demand.residual;
  spec.inputs = demand.inputs;
  spec.targets = demand.targets;
  spec.alpha = spec.beta = demand.residual ? 1.0f : 0.0f;
  spec.forward = gpu.options().forward;
  spec.gram = gpu.options().gram;
  return spec;
}

SitePlan PlanSite(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                  const SiteDemand& demand) {
  cuda::SiteSpec spec = SpecOf(gpu, layer, hidden, demand);
  const size_t width = layer.width();
  const cuda::MemoryReport memory = gpu.memory();
  const uint64_t room = memory.limit - memory.used;
  SitePlan plan;
  for (size_t parts = 1; parts <= (demand.gram ? kMostPasses : 1); parts *= 2) {
    // Passes that begin at whole 16 bytes of bf16: cuBLAS has its fast kernels for those.
    plan.gram_rows = std::min(width, ((width + parts - 1) / parts + 7) / 8 * 8);
    plan.passes = (width + plan.gram_rows - 1) / plan.gram_rows;
    spec.gram_rows = demand.gram ? Int(plan.gram_rows) : 0;
    size_t windows = demand.page / demand.window;
    for (; windows >= 1; windows /= 2) {
      plan.flight = windows * demand.window;
      spec.flight = Int(plan.flight);
      gpu.Call(&cuda::Api::site_bytes, &spec, &plan.device_bytes, &plan.pinned_bytes);
      if (plan.device_bytes <= room) return plan;
    }
  }
  ThrowNoRoom("one block", plan.device_bytes, room,
              "raise --device-memory, or use a smaller --window");
}

}  // namespace struprune
