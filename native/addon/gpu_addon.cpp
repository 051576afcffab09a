#include "addon/gpu_addon.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "addon/arguments.h"
#include "addon/guard.h"
#include "addon/handles.h"
#include "addon/specs.h"
#include "device/cuda_library.h"
#include "device/driver.h"
#include "device/run_ffn.h"
#include "device/run_head.h"
#include "device/site_plan.h"

namespace struprune::addon {
namespace {

using Info = Napi::CallbackInfo;

Napi::Value ReasonValue(Napi::Env env, const std::optional<Reason>& reason) {
  if (!reason) return env.Null();
  Napi::Object value = Napi::Object::New(env);
  value.Set("found", reason->found);
  value.Set("mend", reason->mend);
  return value;
}

// CUDA's version in the library; the usual one where it does not load, of which its own check says
// why.
int RuntimeOf(const std::string& path) {
  try {
    return CudaLibrary::Load(path)->api().runtime;
  } catch (const Error&) {
    return kUsualRuntime;
  }
}

// What the CUDA library itself says of a GPU that the driver calls usable.
std::optional<Reason> AskLibrary(const std::string& path, int index) {
  try {
    CudaLibrary::Load(path)->Check(index);
    return std::nullopt;
  } catch (const Error& error) {
    return Reason{error.what(), error.mend()};
  }
}

// (library path) -> {driver, unusable, gpus: [{index, name, capability, totalBytes, freeBytes,
// unusable}]}; unusable: null | {found, mend}. Not for a process that must survive a broken driver.
Napi::Value ProbeGpus(const Info& info) {
  const Napi::Env env = info.Env();
  const std::string library = GetString(info[0], "library");
  DriverReport report = ProbeDriver(RuntimeOf(library));
  Napi::Array gpus = Napi::Array::New(env, report.gpus.size());
  for (uint32_t i = 0; i < report.gpus.size(); ++i) {
    GpuReport& gpu = report.gpus[i];
    if (!gpu.unusable) gpu.unusable = AskLibrary(library, gpu.index);
    Napi::Object value = Napi::Object::New(env);
    value.Set("index", gpu.index);
    value.Set("name", gpu.name);
    value.Set("capability", std::to_string(gpu.major) + "." + std::to_string(gpu.minor));
    value.Set("totalBytes", static_cast<double>(gpu.total_bytes));
    value.Set("freeBytes", gpu.free_bytes
                               ? Napi::Number::New(env, static_cast<double>(*gpu.free_bytes))
                               : env.Null());
    value.Set("unusable", ReasonValue(env, gpu.unusable));
    gpus.Set(i, value);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("driver", report.version);
  result.Set("unusable", ReasonValue(env, report.unusable));
  result.Set("gpus", gpus);
  return result;
}

// (engine, {library, index, memory, precision, leastFlops?}) -> Promise<{description, hasBlas}>:
// sites of the engine run on the GPU from here.
Napi::Value AttachGpu(const Info& info) {
  const auto context = EngineOf(info);
  const Napi::Object options = GetObject(info[1], "options");
  const std::string library = GetString(options.Get("library"), "library");
  CudaOptions open;
  open.index = static_cast<int>(GetSize(options.Get("index"), "index"));
  open.budget = GetSize(options.Get("memory"), "memory");
  if (options.Get("leastFlops").IsNumber()) {
    open.least_flops = GetNumber(options.Get("leastFlops"), "leastFlops");
    // Then it is asked for all of it.
    if (open.least_flops == 0) open.least_intensity = 0;
  }
  // BF16x3 is as good as fp32 to about five digits (cuda/abi.h), at tensor-core speed.
  const AllowedPrecision precision = GetPrecision(options.Get("precision"));
  const bool exact = precision == AllowedPrecision::kF32;
  open.gram = exact ? cuda::Precision::kExact : cuda::Precision::kBf16x3;
  open.forward = precision == AllowedPrecision::kBf16 ? cuda::Precision::kBf16 : open.gram;
  struct About {
    std::string description;
    bool has_blas = false;
  };
  auto about = std::make_shared<About>();
  return RunOn(
      info.Env(), context,
      [=] {
        context->gpu = std::make_shared<CudaDevice>(CudaLibrary::Load(library), open);
        *about = {context->gpu->Describe(), context->gpu->has_blas()};
      },
      [about](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("description", about->description);
        result.Set("hasBlas", about->has_blas);
        return result;
      });
}

// (engine) -> {used, peak, limit} of the GPU's memory in bytes, null without a GPU
Napi::Value GpuMemoryOf(const Info& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) return info.Env().Null();
  const cuda::MemoryReport memory = context->gpu->memory();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("used", static_cast<double>(memory.used));
  result.Set("peak", static_cast<double>(memory.peak));
  result.Set("limit", static_cast<double>(memory.limit));
  return result;
}

// (engine) -> {leastFlops}: linear algebra in doubles of so many flops goes to the GPU; null where
// none does
Napi::Value GpuDoublesOf(const Info& info) {
  const auto context = EngineOf(info);
  if (!context->gpu || !context->gpu->fast_doubles()) return info.Env().Null();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("leastFlops", context->gpu->options().least_flops);
  return result;
}

// (engine) -> {host, copyIn, forward, sums, copyOut, algebra}: seconds that the host copied pages,
// of the GPU's streams for sites, and of linear algebra there, so far; null without a GPU
Napi::Value GpuTimesOf(const Info& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) return info.Env().Null();
  const cuda::SiteTimes times = context->gpu->times();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("host", context->gpu->host_seconds());
  result.Set("copyIn", times.copy_in);
  result.Set("forward", times.forward);
  result.Set("sums", times.sums);
  result.Set("copyOut", times.copy_out);
  result.Set("algebra", context->gpu->algebra_seconds());
  return result;
}

template <typename Plan>
Napi::Value PlanValue(Napi::Env env, const Plan& plan, size_t passes) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("flight", static_cast<double>(plan.flight));
  result.Set("passes", static_cast<double>(passes));
  result.Set("deviceBytes", static_cast<double>(plan.device_bytes));
  result.Set("pinnedBytes", static_cast<double>(plan.pinned_bytes));
  return result;
}

// (engine, block spec, site, {window, page, collects, gram, feedback, inputs}) -> {flight, passes,
// deviceBytes, pinnedBytes}: what runSite would need of the engine's GPU.
Napi::Value PlanSiteOn(const Info& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) throw BadArgument("the engine has no GPU");
  const Napi::Object options = GetObject(info[3], "options");
  const auto flag = [&](const char* key) { return GetBool(options.Get(key), key); };
  SiteDemand demand;
  demand.window = GetSize(options.Get("window"), "window");
  demand.page = GetSize(options.Get("page"), "page");
  if (demand.window == 0 || demand.page < demand.window) throw BadArgument("page without a window");
  demand.advance = true;
  demand.moments = flag("collects");
  demand.gram = flag("gram");
  demand.residual = flag("feedback");
  demand.inputs = demand.targets = flag("inputs");
  const BlockSpec spec = GetBlockSpec(info[1]);
  const SublayerSpec& layer = spec.sublayers[GetSite(spec, info[2])];
  const SitePlan plan = PlanSite(*context->gpu, layer, spec.hidden, demand);
  return PlanValue(info.Env(), plan, plan.passes);
}

struct NamedPass {
  cuda::FfnPass pass;
  bool sums;
};
NamedPass GetPass(const Napi::Value& value) {
  const std::string name = GetString(value, "pass");
  if (name == "gradient") return {cuda::FfnPass::kGradient, true};
  if (name == "product") return {cuda::FfnPass::kProduct, true};
  if (name == "line") return {cuda::FfnPass::kProduct, false};
  if (name == "hidden") return {cuda::FfnPass::kHidden, true};
  throw BadArgument("unknown pass " + name);
}

// (engine, block spec, site, {pass, inputs, page}) -> the same of a pass of the least squares of
// its FFN
Napi::Value PlanFfnOn(const Info& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) throw BadArgument("the engine has no GPU");
  const BlockSpec spec = GetBlockSpec(info[1]);
  const FeedForwardSpec* const ffn = spec.sublayers[GetSite(spec, info[2])].ffn();
  if (!ffn) throw BadArgument("the site is no FFN");
  const Napi::Object options = GetObject(info[3], "options");
  const auto [pass, sums] = GetPass(options.Get("pass"));
  const FfnShape shape{
      ffn->activation, ffn->gated,  GetSize(options.Get("inputs"), "inputs"),
      ffn->width,      spec.hidden, std::min(kFfnPage, GetSize(options.Get("page"), "page"))};
  const FfnPlan plan = PlanFfn(*context->gpu, shape, pass, sums);
  return PlanValue(info.Env(), plan, plan.ways);
}

// (engine, {width, vocab, tokens, means}) -> the same of the head
Napi::Value PlanHeadOn(const Info& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) throw BadArgument("the engine has no GPU");
  const Napi::Object demand = GetObject(info[1], "demand");
  const auto size = [&](const char* key) { return GetSize(demand.Get(key), key); };
  const HeadPlan plan =
      PlanHead(*context->gpu, size("width"), size("vocab"), std::max<size_t>(size("tokens"), 1),
               GetBool(demand.Get("means"), "means"));
  return PlanValue(info.Env(), plan, plan.passes);
}

}  // namespace

void InitGpu(Napi::Env env, Napi::Object exports) {
  Export<ProbeGpus>(env, exports, "probeGpus");
  Export<AttachGpu>(env, exports, "attachGpu");
  Export<PlanSiteOn>(env, exports, "planSite");
  Export<PlanFfnOn>(env, exports, "planFfn");
  Export<PlanHeadOn>(env, exports, "planHead");
  Export<GpuMemoryOf>(env, exports, "gpuMemoryOf");
  Export<GpuDoublesOf>(env, exports, "gpuDoublesOf");
  Export<GpuTimesOf>(env, exports, "gpuTimesOf");
}

}  // namespace struprune::addon
