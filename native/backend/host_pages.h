// What runs over a GPU do on the host: pages to and from pinned memory, sums on their way back.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "backend/cuda_library.h"
#include "core/context.h"
#include "core/paged_matrix.h"

namespace struprune {

// Rows of a matrix of sums that come back at a time.
inline constexpr size_t kSumRows = 256;

// Bytes that count as the host's while this lives.
class HostCharge {
 public:
  HostCharge(std::shared_ptr<MemoryBudget> budget, uint64_t bytes)
      : budget_(std::move(budget)), bytes_(bytes) {
    budget_->Charge(bytes_);
  }
  ~HostCharge() { budget_->Release(bytes_); }
  HostCharge(const HostCharge&) = delete;
  HostCharge& operator=(const HostCharge&) = delete;

 private:
  const std::shared_ptr<MemoryBudget> budget_;
  const uint64_t bytes_;
};

// Frees the pinned memory that waits for a run.
inline void TrimPinned(const CudaDevice& gpu) {
  uint64_t waiting = 0;
  gpu.Call(&cuda::Api::pinned, true, &waiting);
  gpu.Keep(nullptr);
}

// What becomes of the pinned memory that still waits when a run has taken its own.
enum class Waiting : uint8_t { kGoes, kStays };

// The pinned memory of a run, which outlives what the library opened for it. Where the budget has
// no limit it waits for the next run afterwards, charged as well.
class PinnedMemory {
 public:
  PinnedMemory(const CudaDevice& gpu, std::shared_ptr<MemoryBudget> budget, uint64_t bytes)
      : gpu_(gpu), budget_(std::move(budget)) {
    // Most of what waits is taken, and counts as the run's from here on.
    gpu_.Keep(nullptr);
    charge_.emplace(budget_, bytes);
  }
  ~PinnedMemory() {
    charge_.reset();
    try {
      KeepWaiting(budget_->limit() != 0);
    } catch (const Error&) {
      // The GPU has failed; the call before this one has said so.
    }
  }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  // The run has taken what it needs. What else waited goes: sizes that nobody asks for again would
  // pile up. It stays, charged, only where the budget has no limit and a run of another kind knows
  // that it will be asked for.
  void Taken(Waiting rest = Waiting::kGoes) const {
    if (rest == Waiting::kGoes || budget_->limit() != 0) return TrimPinned(gpu_);
    KeepWaiting(false);
  }

 private:
  void KeepWaiting(bool trim) const {
    uint64_t waiting = 0;
    gpu_.Call(&cuda::Api::pinned, trim, &waiting);
    gpu_.Keep(std::make_shared<HostCharge>(budget_, waiting));
  }

  const CudaDevice& gpu_;
  const std::shared_ptr<MemoryBudget> budget_;
  std::optional<HostCharge> charge_;
};

// Adds the seconds of its own life to those of a GPU.
template <auto add>
class LifeClock {
 public:
  explicit LifeClock(const CudaDevice& gpu) : gpu_(gpu) {}
  ~LifeClock() {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
    (gpu_.*add)(seconds.count());
  }
  LifeClock(const LifeClock&) = delete;
  LifeClock& operator=(const LifeClock&) = delete;

 private:
  const CudaDevice& gpu_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Of what the host does for a GPU's pinned memory.
using HostClock = LifeClock<&CudaDevice::AddHostSeconds>;

// Doubles in pinned memory, by way of which matrices go to the GPU and come back.
class PinnedRows {
 public:
  PinnedRows(const CudaDevice& gpu, std::shared_ptr<MemoryBudget> budget, size_t count)
      : gpu_(gpu), bytes_(count * sizeof(double)), memory_(gpu, std::move(budget), bytes_) {
    void* data = nullptr;
    if (bytes_ > 0) gpu_.Call(&cuda::Api::take_pinned, static_cast<int64_t>(bytes_), &data);
    data_ = static_cast<double*>(data);
  }
  ~PinnedRows() {
    if (data_) gpu_.CallClosing(&cuda::Api::give_pinned, data_, static_cast<int64_t>(bytes_));
  }
  PinnedRows(const PinnedRows&) = delete;
  PinnedRows& operator=(const PinnedRows&) = delete;
  double* data() const { return data_; }

 private:
  const CudaDevice& gpu_;
  const size_t bytes_;
  const PinnedMemory memory_;
  double* data_ = nullptr;
};

// Doubles in pinned memory for that.
inline size_t SumCount(size_t total, size_t width) { return std::min(kSumRows, total) * width; }

// read(at, count, rows) brings rows [0, total) of sums, `width` wide, kSumRows at a time;
// add(at, count, rows) takes them.
template <typename Read, typename Add>
void BringSums(const CudaDevice& gpu, Context& context, size_t total, size_t width, Read read,
               Add add) {
  const PinnedRows rows(gpu, context.budget, SumCount(total, width));
  for (size_t at = 0; at < total; at += kSumRows) {
    context.CheckAbort();
    const size_t count = std::min(kSumRows, total - at);
    read(at, count, rows.data());
    add(at, count, static_cast<const double*>(rows.data()));
  }
}

// A page to or from pinned memory, by all threads: one alone is slower than the bus.
inline void CopyPage(const CudaDevice& gpu, Context& context, const float* from, float* to,
                     size_t count) {
  constexpr size_t kChunk = size_t{1} << 18;  // floats that one thread copies at a time
  const HostClock clock(gpu);
  context.pool.ParallelFor((count + kChunk - 1) / kChunk, [&](size_t chunk, size_t) {
    const size_t at = chunk * kChunk;
    std::copy_n(from + at, std::min(kChunk, count - at), to + at);
  });
}

// Rows of a matrix to the GPU by way of pinned memory: stage(rows) says where they belong,
// send(row, count) takes what lies there.
template <typename Stage, typename Send>
void SendRows(const CudaDevice& gpu, Context& context, PagedMatrix& matrix, Stage stage,
              Send send) {
  for (size_t row = 0, count = 0; row < matrix.rows(); row += count) {
    context.CheckAbort();
    cuda::WeightRows to{};
    stage(&to);
    const size_t most = static_cast<size_t>(to.floats) / matrix.cols();
    count = matrix.Run(row, std::min(most, matrix.rows() - row));
    const PagedMatrix::View view(matrix, row, count, PagedMatrix::Access::kRead);
    CopyPage(gpu, context, view.data(), to.rows, count * matrix.cols());
    send(row, count);
  }
}

// What the library opened, closed with its owner.
template <typename Handle, auto close>
class OnDevice {
 public:
  explicit OnDevice(const CudaDevice& gpu) : gpu_(gpu) {}
  ~OnDevice() {
    if (handle_) gpu_.CallClosing(close, handle_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  Handle* get() const { return handle_; }
  Handle** out() { return &handle_; }

 private:
  const CudaDevice& gpu_;
  Handle* handle_ = nullptr;
};

}  // namespace struprune
