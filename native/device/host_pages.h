// What runs over a GPU do on the host: pages to and from pinned memory, sums on their way back.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "core/context.h"
#include "device/cuda_library.h"

namespace struprune {

// Rows of a matrix of sums that come back at a time.
inline constexpr size_t kSumRows = 256;

// visit(first, count) over rows [0, rows), kSumRows at a time.
template <typename Visit>
void EachSumRows(size_t rows, Visit visit) {
  for (size_t at = 0; at < rows; at += kSumRows) visit(at, std::min(kSumRows, rows - at));
}

// Pinned memory counts as the host's.
class PinnedCharge {
 public:
  PinnedCharge(std::shared_ptr<MemoryBudget> budget, uint64_t bytes)
      : budget_(std::move(budget)), bytes_(bytes) {
    budget_->Charge(bytes_);
  }
  ~PinnedCharge() { budget_->Release(bytes_); }
  PinnedCharge(const PinnedCharge&) = delete;
  PinnedCharge& operator=(const PinnedCharge&) = delete;

 private:
  std::shared_ptr<MemoryBudget> budget_;
  const uint64_t bytes_;
};

// A page to or from pinned memory, by all threads: one alone is slower than the bus.
inline void CopyPage(const CudaDevice& gpu, Context& context, const float* from, float* to,
                     size_t count) {
  constexpr size_t kChunk = size_t{1} << 18;  // floats that one thread copies at a time
  const auto start = std::chrono::steady_clock::now();
  context.pool.ParallelFor((count + kChunk - 1) / kChunk, [&](size_t chunk, size_t) {
    const size_t at = chunk * kChunk;
    std::copy_n(from + at, std::min(kChunk, count - at), to + at);
  });
  gpu.AddHostSeconds(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

// What the library opened, closed with its owner.
template <typename Handle, auto close>
class OnDevice {
 public:
  explicit OnDevice(const CudaDevice& gpu) : gpu_(gpu) {}
  ~OnDevice() {
    if (!handle_) return;
    try {
      gpu_.Call(close, handle_);
    } catch (const Error&) {
      // The GPU has failed; the call before this one has said so.
    }
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
