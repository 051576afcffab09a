// One opened GPU: its streams, its slab of memory, and the libraries that were found.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cuda/abi.h"
#include "cuda/arena.h"
#include "cuda/blas_library.h"
#include "cuda/check.h"

namespace struprune::cuda {

// Streams and events end with their owner.
class Stream {
 public:
  Stream() { Check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) {
    Check(cudaEventCreateWithFlags(&event_, flags), "an event");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// The slab. Throws ERR_BUDGET when the GPU cannot give it. With STRUPRUNE_CUDA_CHECK=1 it counts
// the same bytes, but every piece is an allocation of its own: compute-sanitizer knows no other
// borders.
class Slab {
 public:
  explicit Slab(size_t bytes);
  ~Slab() { cudaFree(data_); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  void* Take(size_t bytes);  // throws ERR_BUDGET
  void Give(void* data);     // throws ERR_INTERNAL for a pointer that Take did not return
  const FreeList& list() const { return list_; }

 private:
  void* TakeOwn(size_t bytes, size_t offset);
  FreeList list_;
  const bool checked_;
  char* data_ = nullptr;
  std::map<void*, size_t> own_;  // pieces of their own -> offset in list_
};

// Pinned host memory: copies from and to it run beside computation.
template <typename T>
class Pinned {
 public:
  Pinned() = default;
  explicit Pinned(int64_t count) {
    if (count == 0) return;
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    const cudaError_t status = cudaMallocHost(reinterpret_cast<void**>(&data_), bytes);
    // Not the GPU's memory, and no device limit helps.
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw Error("ERR_BUDGET",
                  "the system pinned no " + std::to_string(bytes) + " bytes of host memory",
                  "free the machine's memory, or use a smaller --window");
    }
    Check(status, "pinned host memory");
  }
  Pinned(Pinned&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Pinned& operator=(Pinned&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Pinned() {
    if (data_) cudaFreeHost(data_);
  }
  T* data() const { return data_; }

 private:
  T* data_ = nullptr;
};

// An array in the slab. Freed at once when it goes: work on the compute stream that still uses it
// runs before anything later there, so only arrays that other streams touch must outlive them.
template <typename T>
class Array {
 public:
  Array() = default;
  Array(Slab& slab, int64_t count) : slab_(&slab) {
    if (count > 0) data_ = static_cast<T*>(slab.Take(static_cast<size_t>(count) * sizeof(T)));
  }
  Array(Array&& other) noexcept : slab_(other.slab_), data_(std::exchange(other.data_, nullptr)) {}
  Array& operator=(Array&& other) noexcept {
    std::swap(slab_, other.slab_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Array() {
    if (data_) slab_->Give(data_);
  }
  T* data() const { return data_; }

 private:
  Slab* slab_ = nullptr;
  T* data_ = nullptr;
};

// Bytes of the slab that an array takes; 0 for none.
template <typename T>
uint64_t ArrayBytes(int64_t count) {
  return count == 0 ? 0 : FreeList::Rounded(static_cast<size_t>(count) * sizeof(T));
}

struct Device {
  explicit Device(const OpenOptions& options);
  ~Device();

  // cuSOLVER, looked for at the first call, since a run's sites need none; null where it is not
  // there.
  const Solver* FindSolver();

  template <typename T>
  Array<T> Allocate(int64_t count) {
    return Array<T>(slab, count);
  }

  const int index;
  DeviceInfo info;
  Slab slab;
  Stream compute, copy_in, copy_out;
  Event clock_start, clock_end;
  Array<char> workspace;  // of cuBLAS
  std::unique_ptr<Blas> blas;
  std::string blas_fault;  // why a cuBLAS that was found is not used
  SiteTimes times{};

 private:
  // Makes one product of each kind, and does without cuBLAS where it cannot, unless it was named.
  void TryBlas(bool named);

  std::optional<std::string> cusolver_;  // empty: the usual names
  bool sought_;
  std::unique_ptr<Solver> solver_;
};

// Makes a context and looks for a kernel image. Throws ERR_DEVICE, ERR_BUDGET.
DeviceInfo CheckDevice(int32_t index);

}  // namespace struprune::cuda
