#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cuda/device.h"

namespace struprune::cuda {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
// What cuBLAS asks for on Hopper; smaller budgets give it a sixteenth, but never less than what its
// documentation says that no call of it fails with.
constexpr size_t kBlasWorkspace = 32 * kMiB, kLeastBlasWorkspace = size_t{16} << 10;

__global__ void ProbeKernel(int32_t* to) { *to = 1; }

// Attributes rather than cudaDeviceProp, whose layout changes with the toolkit.
int Attribute(cudaDeviceAttr attribute, int index) {
  int value = 0;
  Check(cudaDeviceGetAttribute(&value, attribute, index), "a device's attributes");
  return value;
}

// What is left to kernels and to the libraries' own handles, which on a GPU that is nearly full a
// tenth of what is free would not hold.
constexpr uint64_t kLeft = 512 * kMiB;
// Of a budget that nobody named.
constexpr uint64_t kBudgetStep = 64 * kMiB;

uint64_t BudgetOf(const OpenOptions& options, const DeviceInfo& info) {
  const uint64_t free_bytes = info.free_bytes;
  const uint64_t left = std::max(free_bytes / 10, std::min(kLeft, free_bytes / 2));
  if (options.budget > 0) return options.budget;
  // In whole steps: how pages and matrices are cut follows from it, and a few bytes more or less
  // that are free shall make no difference.
  const uint64_t rest = free_bytes - left;
  return rest > kBudgetStep ? rest / kBudgetStep * kBudgetStep : rest;
}

size_t WorkspaceOf(size_t budget) {
  return std::clamp(budget / 16, kLeastBlasWorkspace, kBlasWorkspace);
}

bool IsChecked() {
  const char* value = std::getenv("STRUPRUNE_CUDA_CHECK");
  return value && std::strcmp(value, "1") == 0;
}

}  // namespace

DeviceInfo CheckDevice(int32_t index) {
  int count = 0;
  Check(cudaGetDeviceCount(&count), "looking for GPUs");
  if (index < 0 || index >= count) {
    throw Error(
        "ERR_DEVICE",
        "there is no GPU cuda:" + std::to_string(index) + " (found " + std::to_string(count) + ")",
        "struprune-native devices lists them");
  }
  Check(cudaSetDevice(index), "a context");
  DeviceInfo info{};
  cudaDeviceProp properties;
  Check(cudaGetDeviceProperties(&properties, index), "a device's properties");
  std::copy_n(properties.name, std::min(std::strlen(properties.name), sizeof(info.name) - 1),
              info.name);
  info.major = Attribute(cudaDevAttrComputeCapabilityMajor, index);
  info.minor = Attribute(cudaDevAttrComputeCapabilityMinor, index);
  info.multiprocessors = Attribute(cudaDevAttrMultiProcessorCount, index);
  size_t free_bytes = 0, total_bytes = 0;
  Check(cudaMemGetInfo(&free_bytes, &total_bytes), "a context");
  info.free_bytes = free_bytes;
  info.total_bytes = total_bytes;
  // Says whether there is code for this architecture without running any.
  cudaFuncAttributes attributes;
  Check(cudaFuncGetAttributes(&attributes, ProbeKernel), "loading a kernel");
  return info;
}

Slab::Slab(size_t bytes) : list_(bytes), checked_(IsChecked()) {
  if (checked_) return;
  Check(cudaMalloc(reinterpret_cast<void**>(&data_), std::max<size_t>(list_.limit(), 1)),
        "device memory of the budget");
}

void* Slab::Take(size_t bytes) {
  if (const auto offset = list_.Take(bytes)) {
    return checked_ ? TakeOwn(bytes, *offset) : data_ + *offset;
  }
  throw Error("ERR_BUDGET",
              "the GPU's work needs " + std::to_string(bytes / kMiB + 1) + " MiB more, and " +
                  std::to_string(list_.largest_gap() / kMiB) + " MiB of the budget of " +
                  std::to_string(list_.limit() / kMiB) + " MiB are left in one piece",
              "raise --device-memory");
}

void Slab::Give(void* data) {
  if (!data) return;
  const auto own = own_.find(data);
  const size_t offset =
      own == own_.end() ? static_cast<size_t>(static_cast<char*>(data) - data_) : own->second;
  if (!list_.Give(offset)) {
    throw Error("ERR_INTERNAL", "device memory was given back that was not taken");
  }
  if (own == own_.end()) return;
  own_.erase(own);
  // Work that is under way may still use it. A failure shows in whatever is called next.
  cudaDeviceSynchronize();
  cudaFree(data);
}

void* Slab::TakeOwn(size_t bytes, size_t offset) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, std::max<size_t>(bytes, 1));
  if (status != cudaSuccess) list_.Give(offset);
  Check(status, "device memory of its own");
  own_[data] = offset;
  return data;
}

Device::Device(const OpenOptions& options)
    : index(options.index),
      info(CheckDevice(options.index)),
      slab(BudgetOf(options, info)),
      sought_(!options.allow_libraries) {
  if (!options.allow_libraries) return;
  if (options.cusolver) cusolver_ = options.cusolver;
  const size_t bytes = WorkspaceOf(slab.list().limit());
  workspace = Allocate<char>(static_cast<int64_t>(bytes));
  blas = Blas::Open(options.cublas, compute, workspace.data(), bytes);
  if (!blas) workspace = {};
}

// A100, H100 and B100 with their kin.
bool Device::has_double_units() const {
  return info.minor == 0 && (info.major == 8 || info.major == 9 || info.major == 10);
}

void* PinnedPool::Take(size_t bytes) {
  if (const auto found = waiting_.find(bytes); found != waiting_.end()) {
    void* const data = found->second;
    waiting_.erase(found);
    waiting_bytes_ -= bytes;
    return data;
  }
  void* data = nullptr;
  const cudaError_t status = cudaMallocHost(&data, bytes);
  // Not the GPU's memory, and no device limit helps.
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw Error("ERR_BUDGET",
                "the system pinned no " + std::to_string(bytes) + " bytes of host memory",
                "free the machine's memory");
  }
  Check(status, "pinned host memory");
  return data;
}

void PinnedPool::Give(void* data, size_t bytes) {
  waiting_.emplace(bytes, data);
  waiting_bytes_ += bytes;
}

void PinnedPool::Trim() {
  for (const auto& [bytes, data] : waiting_) cudaFreeHost(data);
  waiting_.clear();
  waiting_bytes_ = 0;
}

void Device::DropBlas(const std::string& fault) {
  blas_fault = fault;
  blas.reset();
  workspace = {};
}

void Device::DropSolver(const std::string& fault) {
  solver_fault = fault;
  solver_.reset();
}

Device::~Device() { cudaStreamSynchronize(compute); }

const Solver* Device::FindSolver() {
  if (!sought_) {
    sought_ = true;
    solver_ = Solver::Open(cusolver_ ? cusolver_->c_str() : nullptr, compute);
  }
  return solver_.get();
}

}  // namespace struprune::cuda
