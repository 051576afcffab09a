#include "backend/driver.h"

#include <cstddef>

#include "core/os/shared_library.h"

namespace struprune {
namespace {

// CUresult values of the driver's public interface.
enum Result : int {
  kOk = 0,
  kOutOfMemory = 2,
  kNoDevice = 100,
  kNotReady = 802,
  kMismatch = 803,
  kNotSupportedHere = 804,
};
// CUdevice_attribute values.
constexpr int kMajorAttribute = 75, kMinorAttribute = 76;

struct Calls {
  int (*init)(unsigned);
  int (*version)(int*);
  int (*count)(int*);
  int (*device)(int*, int);
  int (*name)(char*, int, int);
  int (*attribute)(int*, int, int);
  int (*total)(size_t*, int);
  int (*retain)(void**, int);
  int (*release)(int);
  int (*current)(void*);
  int (*memory)(size_t*, size_t*);

  // Name of the first symbol that the library lacks, or null.
  const char* Load(void* library) {
    const char* missing = nullptr;
    const auto load = [&]<typename Fn>(Fn*& to, const char* symbol) {
      to = reinterpret_cast<Fn*>(os::FindSymbol(library, symbol));
      if (!to) missing = symbol;
    };
    load(init, "cuInit");
    load(version, "cuDriverGetVersion");
    load(count, "cuDeviceGetCount");
    load(device, "cuDeviceGet");
    load(name, "cuDeviceGetName");
    load(attribute, "cuDeviceGetAttribute");
    load(total, "cuDeviceTotalMem_v2");
    load(retain, "cuDevicePrimaryCtxRetain");
    load(release, "cuDevicePrimaryCtxRelease_v2");
    load(current, "cuCtxSetCurrent");
    load(memory, "cuMemGetInfo_v2");
    return missing;
  }
};

std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string Mebibytes(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

// The first driver that knows all of a major version of CUDA.
std::string Install(int runtime) {
  return "install the NVIDIA driver " + std::string(runtime >= 13000 ? "580" : "525") + " or newer";
}

// What runs a library of CUDA `runtime` where the driver knows only `known`.
Reason TooOld(int known, int runtime) {
  const int needed = runtime / 1000 * 1000;
  std::string mend = Install(runtime);
  if (known >= 12000 && known < needed) {
    mend +=
        ", or build the CUDA library with a toolkit of CUDA 12 (CUDACXX=/path/to/nvcc npm run "
        "build:cuda)";
  }
  return {"the NVIDIA driver is too old: it knows CUDA " + VersionText(known) +
              ", the library needs " + VersionText(needed),
          mend};
}

Reason InitReason(int status, int runtime) {
  if (status == kNoDevice) {
    return {"the driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it)",
            "make the GPU visible to this process"};
  }
  if (status == kMismatch) {
    return {"the driver's library and its kernel module are of different versions",
            "restart the machine"};
  }
  if (status == kNotSupportedHere) {
    return {"the driver's compatibility library does not support this GPU", Install(runtime)};
  }
  if (status == kNotReady) {
    return {"the fabric that joins this machine's GPUs is not ready (CUDA error 802)",
            "start nvidia-fabricmanager, of the driver's own version"};
  }
  return {"the driver does not start (CUDA error " + std::to_string(status) + ")",
          "see what nvidia-smi says"};
}

// A failure after the driver has started.
Reason CallReason(const char* call, int status) {
  return {std::string(call) + " failed with CUDA error " + std::to_string(status),
          "see what nvidia-smi says"};
}

std::optional<Reason> MeasureMemory(const Calls& calls, int device, GpuReport& gpu) {
  void* context = nullptr;
  int status = calls.retain(&context, device);
  if (status == kOk) status = calls.current(context);
  size_t free_bytes = 0, total_bytes = 0;
  if (status == kOk) status = calls.memory(&free_bytes, &total_bytes);
  if (context) {
    calls.current(nullptr);
    calls.release(device);
  }
  if (status != kOk && status != kOutOfMemory) return CallReason("making a context", status);
  if (status == kOk) gpu.free_bytes = free_bytes;
  if (status == kOk && free_bytes >= kFreeNeeded) return std::nullopt;
  return Reason{"no memory is left on the GPU (" + Mebibytes(free_bytes) + " free, " +
                    Mebibytes(kFreeNeeded) + " needed)",
                "end what else runs on it (nvidia-smi lists it)"};
}

GpuReport ProbeGpu(const Calls& calls, int index) {
  GpuReport gpu;
  gpu.index = index;
  int device = 0;
  if (const int status = calls.device(&device, index); status != kOk) {
    gpu.unusable = CallReason("opening the GPU", status);
    return gpu;
  }
  char name[128] = "";
  size_t total = 0;
  calls.name(name, sizeof(name) - 1, device);
  calls.total(&total, device);
  calls.attribute(&gpu.major, kMajorAttribute, device);
  calls.attribute(&gpu.minor, kMinorAttribute, device);
  gpu.name = name;
  gpu.total_bytes = total;
  if (gpu.major < kMajorNeeded) {
    gpu.unusable =
        Reason{"its compute capability is " + std::to_string(gpu.major) + "." +
                   std::to_string(gpu.minor) + ", and the library has code for 8.0 and newer",
               "choose another GPU"};
    return gpu;
  }
  gpu.unusable = MeasureMemory(calls, device, gpu);
  return gpu;
}

}  // namespace

DriverReport ProbeDriver(int runtime) {
  DriverReport report;
  void* library = os::LoadSharedLibrary("libcuda.so.1");
  if (!library) {
    report.unusable = Reason{"no NVIDIA driver (libcuda.so.1 does not load)", Install(runtime)};
    return report;
  }
  Calls calls{};
  if (const char* missing = calls.Load(library)) {
    report.unusable = Reason{
        std::string("the NVIDIA driver is too old (it has no ") + missing + ")", Install(runtime)};
    return report;
  }
  calls.version(&report.version);
  // Before cuInit, which an old driver may refuse for its own reasons.
  if (report.version / 1000 < runtime / 1000) {
    report.unusable = TooOld(report.version, runtime);
    return report;
  }
  if (const int status = calls.init(0); status != kOk) {
    report.unusable = InitReason(status, runtime);
    return report;
  }
  int count = 0;
  if (const int status = calls.count(&count); status != kOk || count == 0) {
    report.unusable = InitReason(status == kOk ? int{kNoDevice} : status, runtime);
    return report;
  }
  for (int i = 0; i < count; ++i) report.gpus.push_back(ProbeGpu(calls, i));
  return report;
}

}  // namespace struprune
