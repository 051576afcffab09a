// What runs over a GPU do on the host: pages to and from pinned memory, sums on their way back.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "backend/streams.h"
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
      : memory_(gpu, std::move(budget), count * sizeof(double)), rows_(gpu, count) {}
  double* data() const { return rows_.data(); }

 private:
  const PinnedMemory memory_;
  const PinnedArray<double> rows_;
};

// Doubles in pinned memory for that.
inline size_t SumCount(size_t total, size_t width) { return std::min(kSumRows, total) * width; }

// Sums on a GPU: `total` rows of `width`. Of a Gram matrix's band the column of the diagonal in the
// first of them, where what is right of it holds anything.
struct DeviceSums {
  const double* data;
  size_t total, width;
  std::optional<size_t> diagonal = {};
};

// add(at, count, rows) takes rows of the sums, kSumRows at a time.
template <typename Add>
void BringSums(const CudaDevice& gpu, Context& context, const StreamClock& clock,
               const DeviceSums& sums, Add add) {
  const PinnedRows rows(gpu, context.budget, SumCount(sums.total, sums.width));
  for (size_t at = 0; at < sums.total; at += kSumRows) {
    context.CheckAbort();
    const size_t count = std::min(kSumRows, sums.total - at);
    const size_t columns = sums.diagonal ? *sums.diagonal + at + count : sums.width;
    clock.Time(gpu.times().copy_out, [&] {
      gpu.Call(&cuda::Api::copy_rows_out, Int(count), Int(columns), Int(sums.width), rows.data(),
               sums.data + at * sums.width);
    });
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

}  // namespace struprune
