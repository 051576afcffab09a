#include "core/budget.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <new>
#include <string>

#include "core/error.h"
#include "core/os/memory.h"

namespace struprune {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kFromSystem = size_t{64} << 10;

// mark = max(mark, value).
void Raise(std::atomic<size_t>& mark, size_t value) {
  size_t now = mark.load(std::memory_order_relaxed);
  while (value > now && !mark.compare_exchange_weak(now, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

void* AllocateStorage(size_t bytes) {
  return bytes < kFromSystem ? ::operator new(bytes, kAlignment) : os::AllocatePages(bytes);
}

void FreeStorage(void* data, size_t bytes) noexcept {
  if (bytes < kFromSystem) {
    ::operator delete(data, kAlignment);
  } else {
    os::FreePages(data, bytes);
  }
}

void* MemoryBudget::Obtain(size_t bytes) {
  return Obtain(bytes, [&] {
    Charge(bytes);
    return true;
  });
}

void* MemoryBudget::TryObtain(size_t bytes, bool to_limit) {
  return Obtain(bytes, [&] { return to_limit ? TryChargeToLimit(bytes) : TryCharge(bytes); });
}

void* MemoryBudget::ObtainSpare(size_t bytes) noexcept {
  if (!HasSpare(bytes)) return nullptr;
  try {
    return TryObtain(bytes, false);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

bool MemoryBudget::HasSpare(size_t bytes) const {
  const size_t needed = used() + pending_ + bytes;
  if (limit_ == 0) return needed <= most_;
  return 2 * expected_ <= room_ && needed <= expected_;
}

// What is kept is taken before it is charged, so that no piece gives way to itself.
template <typename Try>
void* MemoryBudget::Obtain(size_t bytes, Try charge) {
  void* data = TakeKept(bytes);
  const auto refuse = [&] {
    if (data) FreeStorage(data, bytes);
  };
  try {
    if (!charge()) {
      refuse();
      return nullptr;
    }
  } catch (...) {
    refuse();
    throw;
  }
  try {
    if (!data) data = NewStorage(bytes);
  } catch (const std::bad_alloc&) {
    Release(bytes);
    throw;
  }
  Raise(most_, used());
  return data;
}

void* MemoryBudget::NewStorage(size_t bytes) {
  try {
    return AllocateStorage(bytes);
  } catch (const std::bad_alloc&) {
    FreeKept();
    return AllocateStorage(bytes);
  }
}

void* MemoryBudget::TakeKept(size_t bytes) noexcept {
  if (bytes < kFromSystem || kept() < bytes) return nullptr;
  void* data = nullptr;
  {
    const std::lock_guard lock(pieces_mutex_);
    const auto same = std::find_if(pieces_.rbegin(), pieces_.rend(),
                                   [&](const Piece& piece) { return piece.bytes == bytes; });
    if (same == pieces_.rend()) return nullptr;
    data = same->data;
    pieces_.erase(std::next(same).base());
    kept_ -= bytes;
  }
#ifdef STRUPRUNE_SANITIZED
  std::memset(data, 0xff, bytes);  // NaN to whoever reads what it has not written
#endif
  return data;
}

void MemoryBudget::Return(void* data, size_t bytes) noexcept {
  bool keep = false;
  if (bytes >= kFromSystem && keeps_) {
    const std::lock_guard lock(pieces_mutex_);
    keep = used() + kept() <= MostWithKept();
    try {
      if (keep) pieces_.push_back({data, bytes});
    } catch (const std::bad_alloc&) {
      keep = false;
    }
    if (keep) kept_ += bytes;
  }
  if (!keep) FreeStorage(data, bytes);
  Release(bytes);
}

// Frees the pieces that were left first until those that stay do no longer go past the most.
void MemoryBudget::Trim() noexcept {
  while (used() + kept() > MostWithKept()) {
    Piece oldest;
    {
      const std::lock_guard lock(pieces_mutex_);
      if (pieces_.empty()) return;
      oldest = pieces_.front();
      pieces_.erase(pieces_.begin());
      kept_ -= oldest.bytes;
    }
    FreeStorage(oldest.data, oldest.bytes);
  }
}

void MemoryBudget::Expect(size_t bytes) noexcept {
  Raise(expected_, bytes);
  Raise(most_, bytes);
}

void MemoryBudget::GiveBack() noexcept {
  keeps_ = false;
  FreeKept();
  most_ = used();
  expected_ = 0;
}

void MemoryBudget::FreeKept() noexcept {
  std::vector<Piece> pieces;
  {
    const std::lock_guard lock(pieces_mutex_);
    pieces.swap(pieces_);
    kept_ = 0;
  }
  for (const Piece& piece : pieces) FreeStorage(piece.data, piece.bytes);
}

bool MemoryBudget::ChargeUpTo(size_t most, size_t bytes) {
  const size_t now = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (most != 0 && now > most) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  Raise(peak_, now);
  if (kept() > 0) Trim();
  return true;
}

void MemoryBudget::Charge(size_t bytes) {
  if (TryCharge(bytes)) return;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [owner, give_way] : pages_) {
      if (give_way(bytes, owner == pages_.back().first)) return;
    }
  }
  if (!TryChargeToLimit(bytes)) Refuse(bytes);
}

void MemoryBudget::Refuse(size_t bytes) const {
  constexpr size_t kMiB = size_t{1} << 20;
  throw Error("ERR_BUDGET",
              "needs " + std::to_string((used() + bytes) / kMiB + 1) +
                  " MiB of working memory, the budget leaves it " + std::to_string(limit_ / kMiB) +
                  " MiB",
              "raise --memory");
}

void MemoryBudget::Add(const void* owner, GiveWay give_way) {
  const std::lock_guard lock(mutex_);
  pages_.emplace_back(owner, std::move(give_way));
}

void MemoryBudget::Remove(const void* owner) {
  const std::lock_guard lock(mutex_);
  std::erase_if(pages_, [&](const auto& one) { return one.first == owner; });
}

}  // namespace struprune
