// Memory that the library allocates, counted in bytes against one limit.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace struprune {

// Storage of a Buffer, 64-byte aligned. Large pieces come from the system and go back to it at
// once: a heap would keep what was freed, and the process would look larger than its budget.
void* AllocateStorage(size_t bytes);  // throws std::bad_alloc
void FreeStorage(void* data, size_t bytes) noexcept;

// Counts live and peak bytes. Pages that could lie in scratch as well give way to what cannot.
// Between a job's beginning and GiveBack it keeps the large pieces that buffers leave for the next
// ones of their size, since the system clears what it gives: as far as they and the live bytes do
// not go past the most that has lived since GiveBack or is expected to, so that the process is
// never larger for them, nor past half of a limit, since not all that is charged is ever touched.
class MemoryBudget {
 public:
  // limit: no more than this, 0 = any.
  explicit MemoryBudget(size_t limit = 0) : limit_(limit), room_(limit) {}
  ~MemoryBudget() { GiveBack(); }
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // Charged storage, uninitialised: throws as Charge, and std::bad_alloc. Try: null where
  // TryCharge, or TryChargeToLimit, says no.
  void* Obtain(size_t bytes);
  void* TryObtain(size_t bytes, bool to_limit);
  // For what is only faster to have: null where that and what is pending would go past the most
  // that has lived since GiveBack, or is expected to. Since it does not give way, a budget with a
  // limit must have room for all that is expected twice over. Throws nothing.
  void* ObtainSpare(size_t bytes) noexcept;
  // Takes such storage back and releases its bytes.
  void Return(void* data, size_t bytes) noexcept;

  void KeepStorage() noexcept { keeps_ = true; }
  // Says that so many bytes will be needed at once, at most, before GiveBack.
  void Expect(size_t bytes) noexcept;
  // Frees all storage that is kept, and keeps no more.
  void GiveBack() noexcept;
  size_t kept() const { return kept_.load(std::memory_order_relaxed); }

  // Throws ERR_BUDGET past the limit, after pages have given way.
  void Charge(size_t bytes);
  // Charge unless that goes past the room, or past the limit; nothing gives way.
  bool TryCharge(size_t bytes) { return ChargeUpTo(room_, bytes); }
  bool TryChargeToLimit(size_t bytes) { return ChargeUpTo(limit_, bytes); }
  void Release(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[noreturn]] void Refuse(size_t bytes) const;

  // Up to where pages may fill memory beside everything else: at first the limit. 0 = any.
  void set_room(size_t room) { room_ = room; }
  bool HasRoom(size_t bytes) const { return room_ == 0 || used() + bytes <= room_; }

  // Called, in Charge, when bytes do not fit into the room: makes place and charges them itself, or
  // returns false. `last`: all others have given what they could.
  using GiveWay = std::function<bool(size_t bytes, bool last)>;
  void Add(const void* owner, GiveWay give_way);
  void Remove(const void* owner);

  size_t limit() const { return limit_; }
  size_t room() const { return room_; }
  size_t used() const { return used_.load(std::memory_order_relaxed); }
  size_t peak() const { return peak_.load(std::memory_order_relaxed); }

 private:
  bool ChargeUpTo(size_t most, size_t bytes);

  const size_t limit_;
  std::atomic<size_t> room_;
  std::atomic<size_t> used_{0};
  std::atomic<size_t> peak_{0};
  std::mutex mutex_;
  std::vector<std::pair<const void*, GiveWay>> pages_;

  template <typename Try>
  void* Obtain(size_t bytes, Try charge);
  void* TakeKept(size_t bytes) noexcept;
  // From the system, if need be after all that is kept has gone back to it.
  void* NewStorage(size_t bytes);
  size_t MostWithKept() const {
    return limit_ == 0 ? most_.load() : std::min(most_.load(), limit_ / 2);
  }
  friend class PendingBytes;
  bool HasSpare(size_t bytes) const;
  void Trim() noexcept;
  void FreeKept() noexcept;

  struct Piece {
    void* data;
    size_t bytes;
  };
  std::mutex pieces_mutex_;
  std::vector<Piece> pieces_;    // the last one left at the end
  std::atomic<size_t> kept_{0};  // their bytes
  std::atomic<size_t> most_{0};  // bytes that lived at once since GiveBack, or are expected to
  std::atomic<size_t> expected_{0}, pending_{0};
  std::atomic<bool> keeps_{true};
};

// What a pass will still charge while this lives, at most: what is only faster to have leaves it.
class PendingBytes {
 public:
  PendingBytes(MemoryBudget& budget, size_t bytes) : budget_(budget), bytes_(bytes) {
    budget_.pending_ += bytes_;
  }
  ~PendingBytes() { budget_.pending_ -= bytes_; }
  PendingBytes(const PendingBytes&) = delete;
  PendingBytes& operator=(const PendingBytes&) = delete;

 private:
  MemoryBudget& budget_;
  const size_t bytes_;
};

// A 64-byte aligned, uninitialised array whose bytes are charged to a budget while it lives.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<MemoryBudget> budget, size_t count) {
    if (count == 0) return;
    void* const data = budget->Obtain(count * sizeof(T));
    Take(std::move(budget), data, count);
  }
  // Empty where the budget says no (MemoryBudget::TryObtain).
  static Buffer Try(std::shared_ptr<MemoryBudget> budget, size_t count, bool to_limit) {
    Buffer buffer;
    void* const data = budget->TryObtain(count * sizeof(T), to_limit);
    if (data) buffer.Take(std::move(budget), data, count);
    return buffer;
  }
  // Empty where there is none to spare (MemoryBudget::ObtainSpare).
  static Buffer Spare(std::shared_ptr<MemoryBudget> budget, size_t count) {
    Buffer buffer;
    void* const data = budget->ObtainSpare(count * sizeof(T));
    if (data) buffer.Take(std::move(budget), data, count);
    return buffer;
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
  void Take(std::shared_ptr<MemoryBudget> budget, void* data, size_t count) {
    budget_ = std::move(budget);
    data_ = static_cast<T*>(data);
    count_ = count;
  }
  void Free() {
    if (!data_) return;
    budget_->Return(data_, count_ * sizeof(T));
    data_ = nullptr;
    count_ = 0;
  }
  std::shared_ptr<MemoryBudget> budget_;
  T* data_ = nullptr;
  size_t count_ = 0;
};

}  // namespace struprune
