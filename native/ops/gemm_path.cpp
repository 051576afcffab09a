#include "ops/gemm_path.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "core/os/cpu_features.h"
#include "ops/gemm_amx.h"

namespace struprune {
namespace {

#ifdef STRUPRUNE_ONEDNN
constexpr bool kHasOneDnn = true;
#else
constexpr bool kHasOneDnn = false;
#endif

std::vector<GemmPath> MakeGemmPaths() {
  const bool amx = HasAmx();
  std::vector<GemmPath> paths;
  if (amx) paths.push_back(GemmPath::kAmxF32);
  paths.push_back(GemmPath::kCblasF32);
  if (kHasOneDnn) paths.push_back(GemmPath::kOneDnnF32);
  if (amx) paths.push_back(GemmPath::kAmxBf16x3);
  if (kHasOneDnn && (amx || os::HostCpu().avx512_bf16)) paths.push_back(GemmPath::kOneDnnBf16);
  if (amx) {
    paths.push_back(GemmPath::kAmxBf16);
  } else if (HasBf16Vectors()) {
    paths.push_back(GemmPath::kAvx512Bf16);
  }
  return paths;
}

GemmPath& Current() {
  thread_local GemmPath path = BestGemmPath(false);
  return path;
}

}  // namespace

std::string_view NameOf(GemmPath path) {
  switch (path) {
    case GemmPath::kCblasF32:
      return "cblas-f32";
    case GemmPath::kAmxF32:
      return "amx-f32";
    case GemmPath::kOneDnnF32:
      return "onednn-f32";
    case GemmPath::kOneDnnBf16:
      return "onednn-bf16";
    case GemmPath::kAvx512Bf16:
      return "avx512-bf16";
    case GemmPath::kAmxBf16:
      return "amx-bf16";
    case GemmPath::kAmxBf16x3:
      return "amx-bf16x3";
  }
  return "unknown";
}

bool IsBf16(GemmPath path) {
  return path == GemmPath::kOneDnnBf16 || path == GemmPath::kAvx512Bf16 ||
         path == GemmPath::kAmxBf16;
}

size_t PartsOf(GemmPath path) {
  switch (path) {
    case GemmPath::kAvx512Bf16:
    case GemmPath::kAmxBf16:
      return 1;
    case GemmPath::kAmxBf16x3:
      return 2;
    case GemmPath::kAmxF32:
      return 3;
    default:
      return 0;
  }
}

const std::vector<GemmPath>& AvailableGemmPaths() {
  static const std::vector<GemmPath> paths = MakeGemmPaths();
  return paths;
}

GemmPath BestGemmPath(bool allow_bf16) {
  const std::vector<GemmPath>& paths = AvailableGemmPaths();
  return allow_bf16 && IsBf16(paths.back()) ? paths.back() : paths.front();
}

GemmPath PathFor(AllowedPrecision precision, Purpose purpose) {
  const GemmPath own = BestGemmPath(precision == AllowedPrecision::kBf16);
  if (precision != AllowedPrecision::kBf16x3) return own;
  switch (purpose) {
    case Purpose::kMeasuring:
      return own;
    case Purpose::kCalibrating:
      return own == GemmPath::kAmxF32 ? GemmPath::kAmxBf16x3 : own;
    case Purpose::kSearching:
      return BestGemmPath(true);
  }
  return own;
}

GemmPath CurrentGemmPath() { return Current(); }

void SetGemmPath(GemmPath path) {
  if (path == Current()) return;
  const std::vector<GemmPath>& paths = AvailableGemmPaths();
  if (std::find(paths.begin(), paths.end(), path) == paths.end()) {
    throw Error("ERR_UNSUPPORTED",
                "the GEMM path " + std::string(NameOf(path)) +
                    " needs a processor with AMX or AVX512_BF16, or a build with oneDNN",
                "run `struprune-native devices` for the paths of this machine");
  }
  Current() = path;
}

ScopedGemmPath::ScopedGemmPath(GemmPath path) : before_(Current()) { SetGemmPath(path); }

ScopedGemmPath::~ScopedGemmPath() { Current() = before_; }

}  // namespace struprune
