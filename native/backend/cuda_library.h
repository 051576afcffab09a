// The CUDA library as the CPU side sees it: loaded while the program runs, its failures as
// struprune::Error.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "cuda/abi.h"

namespace struprune {

// Of an extent, as abi.h has them.
inline int64_t Int(size_t value) { return static_cast<int64_t>(value); }

class CudaLibrary {
 public:
  // Throws ERR_DEVICE when there is no such file, it does not load, or it is of another version.
  static std::shared_ptr<const CudaLibrary> Load(const std::string& path);

  const cuda::Api& api() const { return *api_; }
  const std::string& path() const { return path_; }

  // What the GPU is, after a context was made on it and a kernel found for it. Throws ERR_DEVICE,
  // ERR_BUDGET. Takes some hundred MiB of the GPU's memory for as long as the process lives.
  cuda::DeviceInfo Check(int index) const;

 private:
  explicit CudaLibrary(std::string path) : path_(std::move(path)) {}
  std::string path_;
  const cuda::Api* api_ = nullptr;
};

[[noreturn]] void ThrowFailure(const cuda::Failure& failure);
// ERR_BUDGET: `what` needs that many bytes of a GPU's memory, of which `room` are free.
[[noreturn]] void ThrowNoRoom(const std::string& what, uint64_t bytes, uint64_t room,
                              const std::string& mend);

struct CudaOptions {
  int index = 0;
  uint64_t budget = 0;  // bytes of device memory; 0 = most of what is free (cuda/abi.h)
  bool libraries = true;
  // Paths of cuBLAS and cuSOLVER; empty = STRUPRUNE_CUBLAS and STRUPRUNE_CUSOLVER, else the usual
  // names.
  std::string cublas, cusolver;
  cuda::Precision forward = cuda::Precision::kExact, gram = cuda::Precision::kExact;
  // Flops of one piece of linear algebra in doubles from which on it goes to a GPU that is fast at
  // them, and flops a byte that is copied for it (tiles/doubles_on_device.h).
  double least_flops = 1e10, least_intensity = 200;
};

// Seconds of the streams in passes since the device was opened. Copies run beside computation: the
// sum may be longer than it took.
struct StreamTimes {
  double copy_in = 0;  // pages and weights, from memory that the device reads by itself
  double forward = 0;
  double sums = 0;      // Gram matrices, moments, residuals
  double copy_out = 0;  // pages and sums
};

// One opened GPU. Calls are made from one thread at a time.
class CudaDevice {
 public:
  CudaDevice(std::shared_ptr<const CudaLibrary> library, CudaOptions options);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const cuda::Api& api() const { return library_->api(); }
  const CudaOptions& options() const { return options_; }
  std::string Describe() const;
  bool has_blas() const;
  // Whether linear algebra in doubles belongs there (cuda/abi.h); Describe names what that takes.
  bool fast_doubles() const { return fast_doubles_; }
  cuda::MemoryReport memory() const;
  StreamTimes& times() const { return times_; }
  // Seconds in which the host filled and emptied what is pinned, a head's table decoded on the way.
  double host_seconds() const { return host_seconds_; }
  void AddHostSeconds(double seconds) const { host_seconds_ += seconds; }
  // The charge of pinned memory that waits for the next run (host_pages.h).
  void Keep(std::shared_ptr<void> charge) const { waiting_ = std::move(charge); }
  // Seconds that linear algebra in doubles took there, its copies included.
  double algebra_seconds() const { return algebra_seconds_; }
  void AddAlgebraSeconds(double seconds) const { algebra_seconds_ += seconds; }

  // Calls an entry of the table, as in Call(&cuda::Api::norm, …); throws its failure.
  template <typename... Args>
  void Call(int (*cuda::Api::*entry)(cuda::Device*, cuda::Failure*, Args...),
            std::type_identity_t<Args>... args) const {
    cuda::Failure failure{};
    if ((api().*entry)(device_, &failure, args...) != 0) ThrowFailure(failure);
  }
  // Copies of the compute stream, which are waited for.
  void Upload(void* to, const void* from, size_t bytes) const;
  void Download(void* to, const void* from, size_t bytes) const;
  // Call for what gives something back: where that fails the GPU has failed, which the call
  // before this one has said.
  template <typename... Args>
  void CallClosing(int (*cuda::Api::*entry)(cuda::Device*, cuda::Failure*, Args...),
                   std::type_identity_t<Args>... args) const noexcept {
    cuda::Failure failure{};
    (api().*entry)(device_, &failure, args...);
  }

 private:
  std::shared_ptr<const CudaLibrary> library_;
  CudaOptions options_;
  cuda::Device* device_ = nullptr;
  bool fast_doubles_ = false;
  mutable StreamTimes times_;
  mutable double host_seconds_ = 0, algebra_seconds_ = 0;
  mutable std::shared_ptr<void> waiting_;
};

// An array in device memory; null where it has no elements. Given back when it goes: work of the
// compute stream that still uses it runs before anything later there, and whoever has other streams
// touch it waits for them.
template <typename T>
class CudaArray {
 public:
  CudaArray() = default;
  CudaArray(const CudaDevice& device, size_t count) : device_(&device), count_(count) {
    if (count == 0) return;
    void* data = nullptr;
    device.Call(&cuda::Api::allocate, static_cast<int64_t>(count * sizeof(T)), &data);
    data_ = static_cast<T*>(data);
  }
  CudaArray(const CudaDevice& device, std::span<const T> values)
      : CudaArray(device, values.size()) {
    if (count_ > 0) device.Upload(data_, values.data(), Bytes());
  }
  CudaArray(CudaArray&& other) noexcept { *this = std::move(other); }
  CudaArray& operator=(CudaArray&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(count_, other.count_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~CudaArray() {
    if (data_) device_->CallClosing(&cuda::Api::release, data_);
  }

  T* data() const { return data_; }
  size_t size() const { return count_; }
  void Read(T* to) const {
    if (count_ > 0) device_->Download(to, data_, Bytes());
  }

 private:
  size_t Bytes() const { return count_ * sizeof(T); }
  const CudaDevice* device_ = nullptr;
  size_t count_ = 0;
  T* data_ = nullptr;
};

}  // namespace struprune
