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
  Event() { Check(cudaEventCreateWithFlags(&event_, cudaEventDefault), "an event"); }
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

// Pinned host memory: copies from and to it run beside computation. Pinning takes about as long as
// filling it, so that what is given back waits for the next who asks for as much.
class PinnedPool {
 public:
  PinnedPool() = default;
  ~PinnedPool() { Trim(); }
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;
  void* Take(size_t bytes);  // throws ERR_BUDGET when the system has none
  void Give(void* data, size_t bytes);
  // Frees what waits.
  void Trim();
  size_t waiting() const { return waiting_bytes_; }

 private:
  std::multimap<size_t, void*> waiting_;
  size_t waiting_bytes_ = 0;
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

  // cuSOLVER; null where it is not there. On a GPU that is fast at doubles it was looked for when
  // that was opened, and tried: what is not there then is not there later. On others at the first
  // call, since a run needs none.
  const Solver* FindSolver();
  // Whether linear algebra in doubles belongs here: it has units for it (others have a sixty-fourth
  // of their speed there, less than a CPU), cuBLAS and cuSOLVER.
  bool fast_doubles() const { return has_double_units() && blas && solver_; }
  bool has_double_units() const;
  // Does without the library from now on.
  void DropBlas(const std::string& fault);
  void DropSolver(const std::string& fault);

  const Stream& stream(Queue which) const {
    return which == Queue::kCopyIn ? copy_in : which == Queue::kCopyOut ? copy_out : compute;
  }
  template <typename T>
  Array<T> Allocate(int64_t count) {
    return Array<T>(slab, count);
  }

  const int index;
  DeviceInfo info;
  PinnedPool pinned;
  Slab slab;
  Stream compute, copy_in, copy_out;
  Array<char> workspace;  // of cuBLAS
  std::unique_ptr<Blas> blas;
  // Why a library that was found is not used.
  std::string blas_fault, solver_fault;

 private:
  std::optional<std::string> cusolver_;  // empty: the usual names
  bool sought_;
  std::unique_ptr<Solver> solver_;
};

// Makes a context and looks for a kernel image. Throws ERR_DEVICE, ERR_BUDGET.
DeviceInfo CheckDevice(int32_t index);

}  // namespace struprune::cuda
