#include "core/budget.h"

#include <sys/mman.h>

#include <new>
#include <string>

#include "core/error.h"

namespace struprune {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kFromSystem = size_t{1} << 20;

}  // namespace

void* AllocateStorage(size_t bytes) {
  if (bytes < kFromSystem) return ::operator new(bytes, kAlignment);
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  return data;
}

void FreeStorage(void* data, size_t bytes) noexcept {
  if (bytes < kFromSystem) {
    ::operator delete(data, kAlignment);
  } else {
    munmap(data, bytes);
  }
}

void MemoryBudget::Charge(size_t bytes) {
  const size_t now = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (limit_ != 0 && now > limit_) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    constexpr size_t kMiB = size_t{1} << 20;
    throw Error("ERR_BUDGET",
                "needs " + std::to_string(now / kMiB + 1) +
                    " MiB of working memory, the budget is " + std::to_string(limit_ / kMiB) +
                    " MiB",
                "raise --memory");
  }
  size_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

}  // namespace struprune
