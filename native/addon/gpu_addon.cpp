#include "addon/gpu_addon.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "addon/arguments.h"
#include "addon/guard.h"
#include "addon/handles.h"
#include "addon/specs.h"
#include "backend/cuda_library.h"
#include "backend/driver.h"

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

// (engine) -> {host, copyIn, forward, sums, copyOut, algebra}: seconds that the host copied pages,
// of the GPU's streams for sites, and of linear algebra there, so far; null without a GPU
Napi::Value GpuTimesOf(const Info& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) return info.Env().Null();
  const StreamTimes& times = context->gpu->times();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("host", context->gpu->host_seconds());
  result.Set("copyIn", times.copy_in);
  result.Set("forward", times.forward);
  result.Set("sums", times.sums);
  result.Set("copyOut", times.copy_out);
  result.Set("algebra", context->gpu->algebra_seconds());
  return result;
}

}  // namespace

void InitGpu(Napi::Env env, Napi::Object exports) {
  Export<ProbeGpus>(env, exports, "probeGpus");
  Export<AttachGpu>(env, exports, "attachGpu");
  Export<GpuMemoryOf>(env, exports, "gpuMemoryOf");
  Export<GpuTimesOf>(env, exports, "gpuTimesOf");
}

}  // namespace struprune::addon
