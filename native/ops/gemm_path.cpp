#include "ops/gemm_path.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "ops/cpu_features.h"

namespace struprune {
namespace {

#ifdef STRUPRUNE_ONEDNN
constexpr bool kHasOneDnn = true;
#else
constexpr bool kHasOneDnn = false;
#endif

GemmPath& Current() {
  thread_local GemmPath path = BestGemmPath(false);
  return path;
}

}  // namespace

std::string_view NameOf(GemmPath path) {
  switch (path) {
    case GemmPath::kCblasF32:
      return "cblas-f32";
    case GemmPath::kOneDnnF32:
      return "onednn-f32";
    case GemmPath::kOneDnnBf16:
      return "onednn-bf16";
  }
  return "unknown";
}

std::vector<GemmPath> AvailableGemmPaths() {
  if (!kHasOneDnn) return {GemmPath::kCblasF32};
  const CpuFeatures& cpu = HostCpu();
  std::vector<GemmPath> paths{GemmPath::kCblasF32, GemmPath::kOneDnnF32};
  // Measured: oneDNN's f32 kernels lead on processors with AMX.
  if (cpu.amx_bf16) std::swap(paths[0], paths[1]);
  if (cpu.amx_bf16 || cpu.avx512_bf16) paths.push_back(GemmPath::kOneDnnBf16);
  return paths;
}

GemmPath BestGemmPath(bool allow_bf16) {
  const std::vector<GemmPath> paths = AvailableGemmPaths();
  return allow_bf16 && paths.back() == GemmPath::kOneDnnBf16 ? paths.back() : paths.front();
}

GemmPath CurrentGemmPath() { return Current(); }

void SetGemmPath(GemmPath path) {
  const std::vector<GemmPath> paths = AvailableGemmPaths();
  if (std::find(paths.begin(), paths.end(), path) == paths.end()) {
    throw Error("ERR_UNSUPPORTED",
                "the GEMM path " + std::string(NameOf(path)) +
                    " needs a build with oneDNN, and bf16 a processor with AVX512_BF16 or AMX",
                "run `struprune-native devices` for the paths of this machine");
  }
  Current() = path;
}

}  // namespace struprune
