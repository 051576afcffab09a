// Copies between the host and the device, and how long a stream took.
#pragma once

#include "cuda/device.h"

namespace struprune::cuda {

// Pages in flight: one is copied while another is computed.
inline constexpr int kSlots = 2;

// Bytes that what streams pages takes from the slab, the work space of its operations included, and
// bytes of pinned host memory.
struct RunnerBytes {
  uint64_t device, pinned;
};

template <typename T>
void CopyIn(const T* from, T* to, int64_t count, cudaStream_t stream) {
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(T), cudaMemcpyHostToDevice,
                        stream),
        "a copy to the GPU");
}

template <typename T>
void CopyOut(const T* from, T* to, int64_t count, cudaStream_t stream) {
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(T), cudaMemcpyDeviceToHost,
                        stream),
        "a copy from the GPU");
}

// Rows [0, count) of sums to the host, their first `columns` cells: the others hold anything.
inline void CopyRowsOut(const double* from, double* to, int64_t count, int64_t columns,
                        int64_t width, cudaStream_t stream) {
  const size_t stride = static_cast<size_t>(width) * sizeof(double);
  Check(cudaMemcpy2DAsync(to, stride, from, stride, static_cast<size_t>(columns) * sizeof(double),
                          static_cast<size_t>(count), cudaMemcpyDeviceToHost, stream),
        "a copy from the GPU");
}

// The first `count` of these sums begin anew; where there are none of them, nothing.
inline void Clear(Device& device, const Array<double>& sums, int64_t count) {
  if (!sums.data() || count == 0) return;
  Check(
      cudaMemsetAsync(sums.data(), 0, static_cast<size_t>(count) * sizeof(double), device.compute),
      "a memset");
}

// Sums that begin at 0; `count` 0: none.
inline Array<double> Zeros(Device& device, int64_t count) {
  auto array = device.Allocate<double>(count);
  Clear(device, array, count);
  return array;
}

inline double Seconds(cudaEvent_t from, cudaEvent_t to) {
  float milliseconds = 0;
  Check(cudaEventElapsedTime(&milliseconds, from, to), "a clock");
  return 1e-3 * static_cast<double>(milliseconds);
}

// Adds what the compute stream does in fn, and waits for it.
class Clock {
 public:
  template <typename Fn>
  void Time(Device& device, double& seconds, const char* what, Fn fn) {
    Check(cudaEventRecord(began_, device.compute), "an event");
    fn();
    Check(cudaEventRecord(ended_, device.compute), "an event");
    Check(cudaEventSynchronize(ended_), what);
    seconds += Seconds(began_, ended_);
  }

 private:
  Event began_{cudaEventDefault}, ended_{cudaEventDefault};
};

}  // namespace struprune::cuda
