// Memory that the library allocates, counted in bytes against one limit.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace struprune {

// Counts live and peak bytes; Charge throws ERR_BUDGET past the limit (0 = no limit).
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit = 0) : limit_(limit) {}
  void Charge(size_t bytes);
  void Release(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  size_t limit() const { return limit_; }
  size_t used() const { return used_.load(std::memory_order_relaxed); }
  size_t peak() const { return peak_.load(std::memory_order_relaxed); }

 private:
  const size_t limit_;
  std::atomic<size_t> used_{0};
  std::atomic<size_t> peak_{0};
};

// Storage of a Buffer, 64-byte aligned. Large pieces come from the system and go back to it at
// once: a heap would keep what was freed, and the process would look larger than its budget.
void* AllocateStorage(size_t bytes);  // throws std::bad_alloc
void FreeStorage(void* data, size_t bytes) noexcept;

// A 64-byte aligned, uninitialised array whose bytes are charged to a budget while it lives.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<MemoryBudget> budget, size_t count) : budget_(std::move(budget)) {
    if (count == 0) return;
    budget_->Charge(count * sizeof(T));
    try {
      data_ = static_cast<T*>(AllocateStorage(count * sizeof(T)));
    } catch (...) {
      budget_->Release(count * sizeof(T));
      throw;
    }
    count_ = count;
  }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      Free();
      budget_ = std::move(other.budget_);
      data_ = std::exchange(other.data_, nullptr);
      count_ = std::exchange(other.count_, 0);
    }
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { Free(); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, count_}; }
  std::span<const T> span() const { return {data_, count_}; }

 private:
  void Free() {
    if (!data_) return;
    FreeStorage(data_, count_ * sizeof(T));
    budget_->Release(count_ * sizeof(T));
    data_ = nullptr;
    count_ = 0;
  }
  std::shared_ptr<MemoryBudget> budget_;
  T* data_ = nullptr;
  size_t count_ = 0;
};

}  // namespace struprune
