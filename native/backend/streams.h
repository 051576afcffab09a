// A GPU's streams as passes use them: events, copies, pinned arrays, linear maps, clocks.
#pragma once

#include <cstdint>
#include <utility>

#include "backend/cuda_library.h"

namespace struprune {

// Bytes that an array in device memory or in pinned memory takes; 0 for none.
template <typename T>
uint64_t ArrayBytes(size_t count) {
  return (count * sizeof(T) + cuda::kArrayUnit - 1) / cuda::kArrayUnit * cuda::kArrayUnit;
}

// What the library opened, closed with its owner.
template <typename Handle, auto close>
class OnDevice {
 public:
  OnDevice() = default;
  explicit OnDevice(const CudaDevice& gpu) : gpu_(&gpu) {}
  OnDevice(OnDevice&& other) noexcept { *this = std::move(other); }
  OnDevice& operator=(OnDevice&& other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~OnDevice() {
    if (handle_) gpu_->CallClosing(close, handle_);
  }
  const CudaDevice& gpu() const { return *gpu_; }
  Handle* get() const { return handle_; }
  Handle** out() { return &handle_; }

 private:
  const CudaDevice* gpu_ = nullptr;
  Handle* handle_ = nullptr;
};

class StreamEvent {
 public:
  explicit StreamEvent(const CudaDevice& gpu) : event_(gpu) {
    gpu.Call(&cuda::Api::event_open, event_.out());
  }
  // It passes when the stream has done what it was given so far.
  void Record(cuda::Queue stream) const { Call(&cuda::Api::event_record, stream); }
  // What the stream is given from now on waits for it.
  void HoldUp(cuda::Queue stream) const { Call(&cuda::Api::event_wait, stream); }
  // The host waits for it.
  void Reach() const { Call(&cuda::Api::event_reach); }
  // Of events that have passed.
  double SecondsTo(const StreamEvent& later) const {
    double seconds = 0;
    Call(&cuda::Api::event_seconds, later.event_.get(), &seconds);
    return seconds;
  }

 private:
  template <typename... Args>
  void Call(int (*cuda::Api::*entry)(cuda::Device*, cuda::Failure*, cuda::Event*, Args...),
            std::type_identity_t<Args>... args) const {
    event_.gpu().Call(entry, event_.get(), args...);
  }
  OnDevice<cuda::Event, &cuda::Api::event_close> event_;
};

template <typename T>
void CopyIn(const CudaDevice& gpu, cuda::Queue stream, const T* from, T* to, size_t count) {
  gpu.Call(&cuda::Api::copy_in, stream, to, from, Int(count * sizeof(T)));
}
template <typename T>
void CopyOut(const CudaDevice& gpu, cuda::Queue stream, const T* from, T* to, size_t count) {
  gpu.Call(&cuda::Api::copy_out, stream, to, from, Int(count * sizeof(T)));
}

// An array in pinned memory; null where it has no elements.
template <typename T>
class PinnedArray {
 public:
  PinnedArray(const CudaDevice& gpu, size_t count) : gpu_(&gpu), bytes_(Int(ArrayBytes<T>(count))) {
    if (count == 0) return;
    void* data = nullptr;
    gpu.Call(&cuda::Api::take_pinned, bytes_, &data);
    data_ = static_cast<T*>(data);
  }
  PinnedArray(PinnedArray&& other) noexcept
      : gpu_(other.gpu_), bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}
  PinnedArray& operator=(PinnedArray&&) = delete;
  ~PinnedArray() {
    if (data_) gpu_->CallClosing(&cuda::Api::give_pinned, data_, bytes_);
  }
  T* data() const { return data_; }

 private:
  const CudaDevice* gpu_;
  int64_t bytes_;
  T* data_ = nullptr;
};

// A linear map x Wᵀ + b for W[outputs, inputs] (cuda/abi.h).
class DeviceMap {
 public:
  DeviceMap() = default;
  DeviceMap(const CudaDevice& gpu, size_t outputs, size_t inputs, bool bias,
            cuda::Precision precision)
      : map_(gpu) {
    gpu.Call(&cuda::Api::map_open, Int(outputs), Int(inputs), bias, precision, map_.out());
  }
  static uint64_t Bytes(const CudaDevice& gpu, size_t outputs, size_t inputs,
                        cuda::Precision precision) {
    uint64_t bytes = 0;
    gpu.Call(&cuda::Api::map_bytes, Int(outputs), Int(inputs), precision, &bytes);
    return bytes;
  }
  // While so many floats of one are loaded, or it is applied to x[rows, columns].
  static uint64_t WorkBytes(const CudaDevice& gpu, size_t floats, size_t rows, size_t columns,
                            cuda::Precision precision) {
    uint64_t bytes = 0;
    gpu.Call(&cuda::Api::map_work_bytes, Int(floats), Int(rows), Int(columns), precision, &bytes);
    return bytes;
  }

  // From the host, by the compute stream.
  void Load(size_t row, size_t count, const float* from) const {
    gpu().Call(&cuda::Api::map_load, map_.get(), Int(row), Int(count), from);
  }
  void LoadBias(const float* from) const {
    gpu().Call(&cuda::Api::map_load_bias, map_.get(), from);
  }
  // to[rows, outputs] = x Wᵀ + b + beta to
  void Apply(size_t rows, const float* x, float beta, float* to) const {
    gpu().Call(&cuda::Api::map_apply, map_.get(), Int(rows), x, beta, to);
  }
  // to[rows, inputs] = x W
  void ApplyBack(size_t rows, const float* x, float* to) const {
    gpu().Call(&cuda::Api::map_apply_back, map_.get(), Int(rows), x, to);
  }

 private:
  const CudaDevice& gpu() const { return map_.gpu(); }
  OnDevice<cuda::LinearMap, &cuda::Api::map_close> map_;
};

// Adds to `seconds` what the compute stream does in fn, and waits for it.
class StreamClock {
 public:
  explicit StreamClock(const CudaDevice& gpu) : began_(gpu), ended_(gpu) {}
  template <typename Fn>
  void Time(double& seconds, Fn fn) const {
    began_.Record(cuda::Queue::kCompute);
    fn();
    ended_.Record(cuda::Queue::kCompute);
    ended_.Reach();
    seconds += began_.SecondsTo(ended_);
  }

 private:
  StreamEvent began_, ended_;
};

}  // namespace struprune
