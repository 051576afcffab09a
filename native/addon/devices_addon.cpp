#include "addon/devices_addon.h"

#include <string>
#include <vector>

#include "addon/arguments.h"
#include "addon/guard.h"
#include "addon/specs.h"
#include "ops/cpu_features.h"
#include "ops/gemm_path.h"

namespace struprune::addon {
namespace {

Napi::Value PathName(Napi::Env env, GemmPath path) {
  return Napi::String::New(env, std::string(NameOf(path)));
}

// () -> {features: {avx2, avx512, avx512Bf16, amxBf16}, gemmPaths: string[]}
Napi::Value Devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const CpuFeatures& cpu = HostCpu();
  Napi::Object features = Napi::Object::New(env);
  features.Set("avx2", cpu.avx2);
  features.Set("avx512", cpu.avx512);
  features.Set("avx512Bf16", cpu.avx512_bf16);
  features.Set("amxBf16", cpu.amx_bf16);
  const std::vector<GemmPath>& available = AvailableGemmPaths();
  Napi::Array paths = Napi::Array::New(env, available.size());
  for (uint32_t i = 0; i < available.size(); ++i) paths.Set(i, PathName(env, available[i]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("features", features);
  result.Set("gemmPaths", paths);
  return result;
}

// (precision) -> {own, calibrating}: names of the paths that the products of such an engine take
Napi::Value GemmPathsOf(const Napi::CallbackInfo& info) {
  const AllowedPrecision precision = GetPrecision(info[0]);
  const auto name = [&](Purpose purpose) {
    return PathName(info.Env(), PathFor(precision, purpose));
  };
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("own", name(Purpose::kMeasuring));
  result.Set("calibrating", name(Purpose::kCalibrating));
  return result;
}

}  // namespace

void InitDevices(Napi::Env env, Napi::Object exports) {
  Export<Devices>(env, exports, "devices");
  Export<GemmPathsOf>(env, exports, "gemmPathsOf");
}

}  // namespace struprune::addon
