#include "core/budget.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <vector>

namespace struprune {
namespace {

size_t ResidentBytes() {
  size_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Of every size around those at which storage comes from elsewhere.
TEST(BudgetTest, BuffersAreWholeAndApartAndGoBackToTheSystem) {
  constexpr size_t kKiB = 1 << 10, kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>();
  const size_t before = ResidentBytes();
  {
    std::vector<Buffer<uint8_t>> buffers;
    for (const size_t size : {size_t{1}, 64 * kKiB - 1, 64 * kKiB, 2 * kMiB - 1, 2 * kMiB,
                              2 * kMiB + 1, 3 * kMiB, 9 * kMiB + 12345}) {
      for (int i = 0; i < 3; ++i) {
        buffers.emplace_back(budget, size);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(buffers.back().data()) % 64, 0u);
        std::ranges::fill(buffers.back().span(), static_cast<uint8_t>(buffers.size()));
      }
    }
    for (size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_EQ(static_cast<size_t>(std::ranges::count(buffers[i].span(), i + 1)),
                buffers[i].size());
    }
    EXPECT_GE(ResidentBytes(), before + 48 * kMiB);
    EXPECT_GE(budget->used(), 48 * kMiB);
  }
  EXPECT_EQ(budget->used(), 0u);
  EXPECT_LE(ResidentBytes(), before + 4 * kMiB);
}

}  // namespace
}  // namespace struprune
