#include "core/budget.h"

#include <string>

#include "core/error.h"

namespace struprune {

void MemoryBudget::Charge(size_t bytes) {
  const size_t now = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (limit_ != 0 && now > limit_) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    constexpr size_t kMiB = size_t{1} << 20;
    throw Error("ERR_BUDGET",
                "needs " + std::to_string(now / kMiB + 1) + " MiB of working memory, the budget is " +
                    std::to_string(limit_ / kMiB) + " MiB",
                "raise --memory");
  }
  size_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

}  // namespace struprune
