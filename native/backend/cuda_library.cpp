#include "backend/cuda_library.h"

#include <cstdlib>

#include "core/os/file.h"
#include "core/os/shared_library.h"

namespace struprune {
namespace {

const char* kBuild = "build it with npm run build:cuda";

const char* PathOrEnvironment(const std::string& path, const char* variable) {
  const char* named = path.empty() ? std::getenv(variable) : path.c_str();
  return named && *named ? named : nullptr;
}

}  // namespace

[[noreturn]] void ThrowFailure(const cuda::Failure& failure) {
  throw Error(failure.code, failure.message, failure.mend);
}

void ThrowNoRoom(const std::string& what, uint64_t bytes, uint64_t room, const std::string& mend) {
  constexpr uint64_t kMiB = 1 << 20;
  throw Error("ERR_BUDGET",
              what + " needs " + std::to_string(bytes / kMiB + 1) + " MiB of the GPU's memory, " +
                  std::to_string(room / kMiB) + " MiB of its budget are free",
              mend);
}

std::shared_ptr<const CudaLibrary> CudaLibrary::Load(const std::string& path) {
  if (!os::Exists(path)) {
    throw Error("ERR_DEVICE", "the CUDA library is not built (" + path + ")", kBuild);
  }
  std::shared_ptr<CudaLibrary> library(new CudaLibrary(path));
  std::string why;
  void* handle = os::LoadSharedLibrary(path.c_str(), &why);
  if (!handle) {
    throw Error("ERR_DEVICE", "the CUDA library does not load: " + why, kBuild);
  }
  const auto get = reinterpret_cast<cuda::ApiFunction>(os::FindSymbol(handle, cuda::kApiSymbol));
  library->api_ = get ? get() : nullptr;
  if (!library->api_ || library->api_->version != cuda::kAbiVersion ||
      library->api_->size != sizeof(cuda::Api)) {
    throw Error("ERR_DEVICE", "the CUDA library is of another version (" + path + ")", kBuild);
  }
  return library;
}

cuda::DeviceInfo CudaLibrary::Check(int index) const {
  cuda::DeviceInfo info{};
  cuda::Failure failure{};
  if (api_->check(index, &info, &failure) != 0) ThrowFailure(failure);
  return info;
}

CudaDevice::CudaDevice(std::shared_ptr<const CudaLibrary> library, CudaOptions options)
    : library_(std::move(library)), options_(std::move(options)) {
  cuda::OpenOptions open{};
  open.index = options_.index;
  open.budget = options_.budget;
  open.allow_libraries = options_.libraries;
  open.cublas = PathOrEnvironment(options_.cublas, "STRUPRUNE_CUBLAS");
  open.cusolver = PathOrEnvironment(options_.cusolver, "STRUPRUNE_CUSOLVER");
  cuda::Failure failure{};
  if (api().open(&open, &device_, &failure) != 0) ThrowFailure(failure);
  // The destructor does not run where this fails.
  int32_t fast = 0;
  if (api().fast_doubles(device_, &failure, &fast) != 0) {
    api().close(device_);
    ThrowFailure(failure);
  }
  fast_doubles_ = fast != 0;
}

CudaDevice::~CudaDevice() { api().close(device_); }

std::string CudaDevice::Describe() const {
  char text[512];
  int32_t blas = 0;
  Call(&cuda::Api::describe, text, sizeof(text), &blas);
  return text;
}

bool CudaDevice::has_blas() const {
  char text[1];
  int32_t blas = 0;
  Call(&cuda::Api::describe, text, sizeof(text), &blas);
  return blas != 0;
}

cuda::MemoryReport CudaDevice::memory() const {
  cuda::MemoryReport report{};
  Call(&cuda::Api::memory, &report);
  return report;
}

void CudaDevice::Upload(void* to, const void* from, size_t bytes) const {
  Call(&cuda::Api::copy_in, cuda::Queue::kCompute, to, from, Int(bytes));
  Call(&cuda::Api::synchronise, cuda::Queue::kCompute);
}

void CudaDevice::Download(void* to, const void* from, size_t bytes) const {
  Call(&cuda::Api::copy_out, cuda::Queue::kCompute, to, from, Int(bytes));
  Call(&cuda::Api::synchronise, cuda::Queue::kCompute);
}

}  // namespace struprune
