#include "core/budget.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <new>
#include <thread>
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
  EXPECT_GE(ResidentBytes(), before + 48 * kMiB) << "kept for the next buffers";
  budget->GiveBack();
  EXPECT_LE(ResidentBytes(), before + 4 * kMiB);
}

TEST(BudgetTest, WhatABufferLeavesIsTheNextOnesOfItsSize) {
  constexpr size_t kSize = 3 << 20;
  const auto budget = std::make_shared<MemoryBudget>();
  const uint8_t* left = nullptr;
  {
    Buffer<uint8_t> first(budget, kSize);
    std::ranges::fill(first.span(), uint8_t{7});
    left = first.data();
  }
  const Buffer<uint8_t> second(budget, kSize);
  EXPECT_EQ(second.data(), left);
}

// Neither the process's size nor a limit on it may know that anything is kept.
TEST(BudgetTest, WhatIsKeptAndWhatLivesStayBelowThePeak) {
  constexpr size_t kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>();
  const size_t before = ResidentBytes();
  const auto filled = [&](size_t size) {
    Buffer<uint8_t> buffer(budget, size);
    std::ranges::fill(buffer.span(), uint8_t{1});
    return buffer;
  };
  for (size_t size = 1; size <= 20; ++size) {
    const auto buffer = filled(size * kMiB);
    EXPECT_LE(ResidentBytes(), before + size * kMiB + kMiB) << size;
  }
  // 20 MiB are kept, in one piece, which does not fit beside these.
  const auto small = filled(3 * kMiB), other = filled(2 * kMiB);
  EXPECT_LE(ResidentBytes(), before + 6 * kMiB);
  EXPECT_EQ(budget->peak(), 20 * kMiB);
}

// What is charged by others, or in small pieces, counts as well.
TEST(BudgetTest, WhatIsKeptGivesWayToEveryCharge) {
  constexpr size_t kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>();
  {
    std::vector<Buffer<uint8_t>> buffers;
    for (int i = 0; i < 20; ++i) buffers.emplace_back(budget, kMiB);
  }
  EXPECT_EQ(budget->kept(), 20 * kMiB);
  budget->Charge(15 * kMiB);
  EXPECT_EQ(budget->kept(), 5 * kMiB);
  const Buffer<uint8_t> again(budget, kMiB);
  EXPECT_EQ(budget->kept(), 4 * kMiB) << "a piece does not give way to itself";
  budget->Release(15 * kMiB);
  {
    std::vector<Buffer<uint8_t>> small;
    while (budget->used() < 19 * kMiB) small.emplace_back(budget, 60 << 10);
    EXPECT_LE(budget->kept() + budget->used(), 20 * kMiB);
  }
  budget->GiveBack();
  EXPECT_EQ(budget->kept(), 0u);
  {
    const Buffer<uint8_t> idle(budget, 3 * kMiB);
  }
  EXPECT_EQ(budget->kept(), 0u) << "nothing is kept between calls";
  budget->KeepStorage();
  {
    const Buffer<uint8_t> busy(budget, 3 * kMiB);
  }
  EXPECT_EQ(budget->kept(), 3 * kMiB);
}

TEST(BudgetTest, UnderALimitHalfOfItIsTheMostWithWhatIsKept) {
  constexpr size_t kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>(20 * kMiB);
  {
    std::vector<Buffer<uint8_t>> buffers;
    for (int i = 0; i < 20; ++i) buffers.emplace_back(budget, kMiB);
  }
  EXPECT_EQ(budget->kept(), 10 * kMiB);
  const Buffer<uint8_t> other(budget, 7 * kMiB);
  EXPECT_EQ(budget->kept(), 3 * kMiB);
  const Buffer<uint8_t> more(budget, 5 * kMiB);
  EXPECT_EQ(budget->kept(), 0u);
}

TEST(BudgetTest, WhatTheSystemRefusesIsNoMeasureForWhatIsKept) {
  constexpr size_t kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>();
  EXPECT_THROW(Buffer<uint8_t>(budget, size_t{1} << 50), std::bad_alloc);
  for (size_t size = 1; size <= 20; ++size) {
    {
      const Buffer<uint8_t> buffer(budget, size * kMiB);
    }
    EXPECT_LE(budget->kept(), size * kMiB);
  }
  EXPECT_EQ(budget->used(), 0u);
}

TEST(BudgetTest, WhatIsOnlyFasterToHaveRaisesNoPeak) {
  constexpr size_t kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>();
  const auto spare = [&](size_t mebibytes) {
    return Buffer<uint8_t>::Spare(budget, mebibytes * kMiB);
  };
  EXPECT_TRUE(spare(1).empty());
  {
    const Buffer<uint8_t> most(budget, 10 * kMiB);
    EXPECT_TRUE(spare(1).empty());
  }
  EXPECT_EQ(budget->kept(), 10 * kMiB);
  {
    const Buffer<uint8_t> needed(budget, 4 * kMiB);
    const auto faster = spare(6);
    EXPECT_EQ(faster.size(), 6 * kMiB);
    EXPECT_EQ(budget->kept(), 0u) << "it takes the place of what is kept";
    EXPECT_TRUE(spare(1).empty());
  }
  EXPECT_EQ(budget->peak(), 10 * kMiB);
  budget->GiveBack();
  EXPECT_TRUE(spare(1).empty());
  budget->Expect(3 * kMiB);
  EXPECT_FALSE(spare(3).empty());
  EXPECT_TRUE(spare(4).empty());
  const PendingBytes pending(*budget, kMiB);
  EXPECT_FALSE(spare(2).empty());
  EXPECT_TRUE(spare(3).empty());
}

TEST(BudgetTest, WhatIsRefusedLeavesWhatIsKept) {
  constexpr size_t kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>();
  const Buffer<uint8_t> all(budget, 4 * kMiB);
  {
    const Buffer<uint8_t> next(budget, 4 * kMiB);
  }
  const PendingBytes pending(*budget, kMiB);
  EXPECT_TRUE(Buffer<uint8_t>::Spare(budget, 4 * kMiB).empty());
  EXPECT_EQ(budget->kept(), 4 * kMiB);
}

// What is needed later is not refused for it.
TEST(BudgetTest, UnderALimitWhatIsExpectedHasRoomBesideWhatIsOnlyFasterToHave) {
  constexpr size_t kMiB = 1 << 20;
  const auto budget = std::make_shared<MemoryBudget>(20 * kMiB);
  const auto spare = [&](size_t mebibytes) {
    return Buffer<uint8_t>::Spare(budget, mebibytes * kMiB);
  };
  {
    const Buffer<uint8_t> most(budget, 20 * kMiB);
  }
  EXPECT_TRUE(spare(1).empty()) << "nobody said what will be needed";
  budget->Expect(10 * kMiB);
  {
    const auto faster = spare(10);
    EXPECT_EQ(faster.size(), 10 * kMiB);
    const Buffer<uint8_t> needed(budget, 10 * kMiB);
    EXPECT_TRUE(spare(1).empty());
  }
  budget->Expect(11 * kMiB);
  EXPECT_TRUE(spare(1).empty()) << "both together would not fit";
  budget->GiveBack();
  budget->Expect(5 * kMiB);
  EXPECT_FALSE(spare(5).empty());
  EXPECT_TRUE(spare(6).empty());
  budget->set_room(9 * kMiB);
  EXPECT_TRUE(spare(5).empty()) << "the limit is not all for pages";
}

TEST(BudgetTest, ThreadsTakeAndLeaveTogether) {
  constexpr size_t kSize = 128 << 10, kLimit = 64 * kSize;
  const auto budget = std::make_shared<MemoryBudget>(kLimit);
  std::vector<std::thread> threads;
  std::atomic<size_t> bad{0};
  for (uint8_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<Buffer<uint8_t>> mine;
      for (size_t i = 0; i < 2000; ++i) {
        if (mine.size() == 15) mine.erase(mine.begin() + static_cast<ptrdiff_t>(i % 15));
        mine.emplace_back(budget, kSize / (1 + i % 2));
        std::ranges::fill(mine.back().span(), thread);
        const auto& one = mine[i % mine.size()];
        bad += one[0] != thread || one[one.size() - 1] != thread;
        bad += budget->peak() > kLimit;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(bad, 0u);
  EXPECT_EQ(budget->used(), 0u);
  EXPECT_LE(budget->kept(), kLimit);
}

}  // namespace
}  // namespace struprune
