// Copies between the host and the device, and how long a stream took.
#pragma once

#include <algorithm>

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

// Rows of weights on their way in: pieces of pinned memory, one filled while another is copied.
class WeightStage {
 public:
  // Floats of a piece for matrices of which the largest has `most` floats and the longest row
  // `columns`.
  static int64_t Floats(int64_t most, int64_t columns) {
    return std::max(columns, std::min(most, kWeightFloats));
  }
  static uint64_t PinnedBytes(int64_t floats) { return kSlots * ArrayBytes<float>(floats); }

  WeightStage(Device& device, int64_t floats)
      : device_(device), floats_(floats), pieces_{{device, floats}, {device, floats}} {}

  // Where the rows of the next Send belong.
  WeightRows Next() {
    Wait(pieces_[next_]);
    return {pieces_[next_].rows.data(), floats_};
  }
  // send(rows) copies `count` floats from there by the compute stream.
  template <typename Fn>
  void Send(int64_t count, Fn send) {
    if (count > floats_) throw Error("ERR_ARGUMENT", "more rows of a weight than were staged");
    Piece& piece = pieces_[next_];
    Check(cudaEventRecord(piece.began, device_.compute), "an event");
    send(static_cast<const float*>(piece.rows.data()));
    Check(cudaEventRecord(piece.ended, device_.compute), "an event");
    piece.sent = true;
    next_ = (next_ + 1) % kSlots;
  }
  // For all of them.
  void Wait() {
    for (Piece& piece : pieces_) Wait(piece);
  }

 private:
  // Of which a copy takes far longer than to set it off.
  static constexpr int64_t kWeightFloats = int64_t{1} << 20;
  struct Piece {
    Piece(Device& device, int64_t floats) : rows(device.pinned, floats) {}
    Pinned<float> rows;
    Event began{cudaEventDefault}, ended{cudaEventDefault};
    bool sent = false;
  };

  void Wait(Piece& piece) {
    if (!piece.sent) return;
    Check(cudaEventSynchronize(piece.ended), "rows of a weight");
    device_.times.copy_in += Seconds(piece.began, piece.ended);
    piece.sent = false;
  }

  Device& device_;
  const int64_t floats_;
  Piece pieces_[kSlots];
  int next_ = 0;
};

}  // namespace struprune::cuda
