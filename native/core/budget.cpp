#include "core/budget.h"

#include <sys/mman.h>

#include <new>
#include <string>

#include "core/error.h"

namespace struprune {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kFromSystem = size_t{64} << 10;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void* AllocateStorage(size_t bytes) {
  if (bytes < kFromSystem) return ::operator new(bytes, kAlignment);
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Fewer faults, and rows far apart find their addresses translated. What it takes beyond what is
  // touched is charged all the same; a system that refuses is no error.
  if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

void FreeStorage(void* data, size_t bytes) noexcept {
  if (bytes < kFromSystem) {
    ::operator delete(data, kAlignment);
  } else {
    munmap(data, bytes);
  }
}

bool MemoryBudget::ChargeUpTo(size_t most, size_t bytes) {
  const size_t now = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (most != 0 && now > most) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  size_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
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
