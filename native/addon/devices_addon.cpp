// What the machine and the build offer.
#include <optional>
#include <string>
#include <vector>

#include "addon/addon.h"
#include "addon/arguments.h"
#include "addon/guard.h"
#include "addon/specs.h"
#include "backend/cuda_library.h"
#include "backend/driver.h"
#include "core/os/cpu_features.h"
#include "ops/gemm.h"
#include "ops/gemm_path.h"

namespace struprune::addon {
namespace {

Napi::Value PathName(Napi::Env env, GemmPath path) {
  return Napi::String::New(env, std::string(NameOf(path)));
}

// () -> {features: {avx2, avx512, avx512Bf16, amxBf16, neon, neonDot, neonBf16, sve}, gemmPaths:
// string[]}
Napi::Value Devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const os::CpuFeatures& cpu = os::HostCpu();
  Napi::Object features = Napi::Object::New(env);
  features.Set("avx2", cpu.avx2);
  features.Set("avx512", cpu.avx512);
  features.Set("avx512Bf16", cpu.avx512_bf16);
  features.Set("amxBf16", cpu.amx_bf16);
  features.Set("neon", cpu.neon);
  features.Set("neonDot", cpu.neon_dot);
  features.Set("neonBf16", cpu.neon_bf16);
  features.Set("sve", cpu.sve);
  const std::vector<GemmPath>& available = AvailableGemmPaths();
  Napi::Array paths = Napi::Array::New(env, available.size());
  for (uint32_t i = 0; i < available.size(); ++i) paths.Set(i, PathName(env, available[i]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("features", features);
  result.Set("gemmPaths", paths);
  return result;
}

// (precision) -> {own, calibrating, searching}: names of the paths that the products of such an
// engine take
Napi::Value GemmPathsOf(const Napi::CallbackInfo& info) {
  const AllowedPrecision precision = GetPrecision(info[0]);
  const auto name = [&](Purpose purpose) {
    return PathName(info.Env(), PathFor(precision, purpose));
  };
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("own", name(Purpose::kMeasuring));
  result.Set("calibrating", name(Purpose::kCalibrating));
  result.Set("searching", name(Purpose::kSearching));
  return result;
}

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
Napi::Value ProbeGpus(const Napi::CallbackInfo& info) {
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

}  // namespace

void InitDevices(Napi::Env env, Napi::Object exports) {
  InitialiseBlas();
  exports.Set("blas", BlasDescription());
  Export<Devices>(env, exports, "devices");
  Export<GemmPathsOf>(env, exports, "gemmPathsOf");
  Export<ProbeGpus>(env, exports, "probeGpus");
}

}  // namespace struprune::addon
