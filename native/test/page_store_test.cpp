#include "core/page_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "expect_error.h"

namespace struprune {
namespace {

using Access = PageStore::Access;
constexpr size_t kPage = 64;

class PageStoreTest : public testing::Test {
 protected:
  // Other processes run these tests at the same time.
  PageStoreTest() : folder_(testing::TempDir() + "page-store-" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
  ~PageStoreTest() override { std::filesystem::remove_all(folder_); }

  std::shared_ptr<PageStore> Make(size_t resident_pages) {
    return std::make_shared<PageStore>(context_, resident_pages * kPage, folder_);
  }

  const std::string folder_;
  const std::shared_ptr<Context> context_ = std::make_shared<Context>(2, 0);
};

void Fill(PageStore& store, PageStore::ObjectId object, size_t page, uint32_t value) {
  const auto pin = store.Acquire(object, page, Access::kWrite);
  for (uint32_t& word : pin.as<uint32_t>()) word = value++;
}

void ExpectFilled(PageStore& store, PageStore::ObjectId object, size_t page, uint32_t value) {
  const auto pin = store.Acquire(object, page, Access::kRead);
  for (const uint32_t word : pin.as<uint32_t>()) ASSERT_EQ(word, value++) << "page " << page;
}

TEST_F(PageStoreTest, PagesComeBackFromScratch) {
  const auto store = Make(3);
  const auto object = store->Create(10, kPage);
  for (uint32_t i = 0; i < 10; ++i) Fill(*store, object, i, i * 1000);
  for (uint32_t i = 0; i < 10; ++i) ExpectFilled(*store, object, i, i * 1000);
  EXPECT_GE(store->traffic().written_bytes, 7 * kPage);
  EXPECT_GE(store->traffic().read_bytes, 7 * kPage);
  EXPECT_GE(store->traffic().evictions, 14u);
}

// What has no scratch takes the place of pages that have: the budget is one.
TEST_F(PageStoreTest, PagesGiveWayToAStoreWithoutAFolder) {
  const auto context = std::make_shared<Context>(1, 4 * kPage);
  const auto paged = std::make_shared<PageStore>(context, 0, folder_);
  const auto object = paged->Create(4, kPage);
  for (uint32_t i = 0; i < 4; ++i) Fill(*paged, object, i, i * 1000);
  ASSERT_EQ(context->budget->used(), 4 * kPage);
  const auto fixed = std::make_shared<PageStore>(context, 0, "");
  const auto held = fixed->Create(3, kPage);
  for (uint32_t i = 0; i < 3; ++i) Fill(*fixed, held, i, i);
  for (uint32_t i = 0; i < 4; ++i) ExpectFilled(*paged, object, i, i * 1000);
  for (uint32_t i = 0; i < 3; ++i) ExpectFilled(*fixed, held, i, i);
  EXPECT_LE(context->budget->peak(), 4 * kPage);
  const auto more = fixed->Create(2, kPage);
  Fill(*fixed, more, 0, 7);
  test::ExpectError([&] { Fill(*fixed, more, 1, 8); }, "ERR_BUDGET", "memory");
}

TEST_F(PageStoreTest, UpdatesAreKeptAcrossEvictions) {
  const auto store = Make(2);
  const auto object = store->Create(5, kPage);
  for (int round = 1; round <= 3; ++round) {
    for (size_t i = 0; i < 5; ++i) {
      const auto pin = store->Acquire(object, i, Access::kUpdate);
      for (uint32_t& word : pin.as<uint32_t>()) word += static_cast<uint32_t>(i + 1);
    }
  }
  for (size_t i = 0; i < 5; ++i) {
    const auto pin = store->Acquire(object, i, Access::kRead);
    for (const uint32_t word : pin.as<uint32_t>()) EXPECT_EQ(word, 3 * (i + 1));
  }
}

TEST_F(PageStoreTest, PagesThatWereNeverWrittenAreZero) {
  const auto store = Make(1);
  const auto object = store->Create(3, kPage);
  Fill(*store, object, 1, 7);
  for (const size_t page : {0u, 2u, 0u}) {
    const auto pin = store->Acquire(object, page, Access::kRead);
    for (const uint32_t word : pin.as<uint32_t>()) EXPECT_EQ(word, 0u);
  }
  EXPECT_EQ(store->traffic().written_bytes, kPage) << "zeros are not written";
  ExpectFilled(*store, object, 1, 7);
}

TEST_F(PageStoreTest, TheLastPageMayBeShort) {
  const auto store = Make(1);
  const auto object = store->Create(3, kPage, 12);
  for (uint32_t i = 0; i < 3; ++i) Fill(*store, object, i, i);
  EXPECT_EQ(store->Acquire(object, 2, Access::kRead).bytes().size(), 12u);
  for (uint32_t i = 0; i < 3; ++i) ExpectFilled(*store, object, i, i);
}

TEST_F(PageStoreTest, WithoutAFolderNothingLeavesMemory) {
  const auto store = std::make_shared<PageStore>(context_, 0, "");
  const auto object = store->Create(100, kPage);
  for (uint32_t i = 0; i < 100; ++i) Fill(*store, object, i, i);
  for (uint32_t i = 0; i < 100; ++i) ExpectFilled(*store, object, i, i);
  EXPECT_EQ(store->traffic().written_bytes, 0u);
}

TEST_F(PageStoreTest, ResidentBytesAreChargedAndStayUnderTheLimit) {
  const auto store = Make(3);
  {
    const StoredPages pages(store, 10, kPage);
    for (uint32_t i = 0; i < 10; ++i) Fill(*store, pages.id(), i, i);
    EXPECT_EQ(context_->budget->used(), 3 * kPage);
    EXPECT_EQ(context_->budget->peak(), 3 * kPage);
  }
  EXPECT_EQ(context_->budget->used(), 0u);
}

TEST_F(PageStoreTest, PagesGiveWayToTheContextsBudget) {
  const auto tight = std::make_shared<Context>(1, 4 * kPage);
  PageStore store(tight, 100 * kPage, folder_);
  const auto object = store.Create(8, kPage);
  const auto other = tight->Allocate<std::byte>(2 * kPage);
  for (uint32_t i = 0; i < 8; ++i) Fill(store, object, i, i);
  for (uint32_t i = 0; i < 8; ++i) ExpectFilled(store, object, i, i);
  EXPECT_EQ(tight->budget->peak(), 4 * kPage);
}

TEST_F(PageStoreTest, PinnedPagesStay) {
  const auto store = Make(2);
  const auto object = store->Create(4, kPage);
  auto first = store->Acquire(object, 0, Access::kWrite);
  const std::byte* const place = first.bytes().data();
  for (uint32_t i = 1; i < 4; ++i) Fill(*store, object, i, i);
  EXPECT_EQ(store->Acquire(object, 0, Access::kRead).bytes().data(), place);
  const auto second = store->Acquire(object, 1, Access::kRead);
  test::ExpectError([&] { (void)store->Acquire(object, 2, Access::kRead); }, "ERR_BUDGET",
                    "does not fit beside those in use");
  first = {};
  ExpectFilled(*store, object, 2, 2);
}

TEST_F(PageStoreTest, ScratchOfDroppedObjectsIsUsedAgainAndHasNoName) {
  const auto store = Make(1);
  for (int round = 0; round < 5; ++round) {
    const StoredPages pages(store, 4, kPage);
    for (uint32_t i = 0; i < 4; ++i) Fill(*store, pages.id(), i, i + 100);
    for (uint32_t i = 0; i < 4; ++i) ExpectFilled(*store, pages.id(), i, i + 100);
    EXPECT_LE(store->scratch_bytes(), 4 * size_t{4096}) << "a page takes a block of the disk";
  }
  EXPECT_EQ(store->scratch_bytes(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(PageStoreTest, AFolderThatIsNotThereIsNamed) {
  PageStore store(context_, kPage, folder_ + "/missing");
  const auto object = store.Create(2, kPage);
  Fill(store, object, 0, 5);
  test::ExpectError([&] { (void)store.Acquire(object, 1, Access::kRead); }, "ERR_SCRATCH",
                    folder_ + "/missing");
  ExpectFilled(store, object, 0, 5);
}

// Fills pages 0 to `pages` and leaves the last ones in memory. What is being written cannot go, so
// that others go in its place: everything is written, and then comes once more in order.
void FillAll(PageStore& store, PageStore::ObjectId object, uint32_t pages) {
  for (uint32_t i = 0; i < pages; ++i) Fill(store, object, i, i);
  const auto scan = [&] {
    for (uint32_t i = 0; i < pages; ++i) ExpectFilled(store, object, i, i);
  };
  while (store.traffic().written_bytes < pages * kPage) scan();
  scan();
}

// Resident pages of a store with a limit of 3, in scans over 6 pages.
uint64_t ReadsOfScans(PageStore& store, PageStore::ObjectId object, bool announced) {
  std::vector<PageStore::Visit> order;
  for (int scan = 0; scan < 4; ++scan) {
    for (uint32_t i = 0; i < 6; ++i) order.push_back({object, i, Access::kRead});
  }
  FillAll(store, object, 6);
  const uint64_t before = store.traffic().read_bytes;
  if (announced) store.Announce(order);
  for (const auto& [id, page, access] : order) ExpectFilled(store, id, page, page);
  return (store.traffic().read_bytes - before) / kPage;
}

TEST_F(PageStoreTest, ScansThatWereAnnouncedReadLess) {
  const auto store = Make(3), other = Make(3);
  // The least recently used page is always the one that a scan wants next: every visit reads.
  EXPECT_EQ(ReadsOfScans(*store, store->Create(6, kPage), false), 24u);
  // By Belady's rule two pages stay from scan to scan, and 14 or 15 visits read; what is read ahead
  // while another page is at hand takes the place of one of them, more or fewer times.
  EXPECT_LE(ReadsOfScans(*other, other->Create(6, kPage), true), 20u);
}

// Of what the I/O thread does in its own time; false after 10 s.
template <typename Fn>
bool Comes(Fn&& condition) {
  for (int i = 0; i < 10000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_F(PageStoreTest, AnnouncedPagesAreReadAhead) {
  const auto store = Make(4);
  const auto object = store->Create(12, kPage);
  FillAll(*store, object, 12);
  const uint64_t before = store->traffic().read_bytes;
  std::vector<PageStore::Visit> order;
  for (uint32_t i = 0; i < 12; ++i) order.push_back({object, i});
  store->Announce(order);
  // Instead of two of 8 to 11, which are wanted later.
  ASSERT_TRUE(Comes([&] { return store->traffic().read_bytes == before + 2 * kPage; }));
  for (uint32_t i = 0; i < 12; ++i) {
    const auto pin = store->Acquire(object, i, Access::kUpdate);
    for (uint32_t& word : pin.as<uint32_t>()) word += 5;
  }
  EXPECT_GE(store->traffic().read_ahead_hits, 2u);
  for (uint32_t i = 0; i < 12; ++i) ExpectFilled(*store, object, i, i + 5);
  EXPECT_LE(context_->budget->peak(), 4 * kPage);
}

TEST_F(PageStoreTest, ThePageThatGoesNextIsWrittenBehind) {
  const auto store = Make(4);
  const auto object = store->Create(12, kPage);
  for (uint32_t i = 0; i < 12; ++i) Fill(*store, object, i, i);
  ASSERT_TRUE(Comes([&] { return store->traffic().written_bytes == 9 * kPage; }));
  EXPECT_EQ(store->traffic().evictions, 8u);
}

TEST_F(PageStoreTest, PagesToBeOverwrittenAreNotRead) {
  const auto store = Make(2);
  const auto object = store->Create(6, kPage);
  for (uint32_t i = 0; i < 6; ++i) Fill(*store, object, i, i);
  const uint64_t before = store->traffic().read_bytes;
  std::vector<PageStore::Visit> order;
  for (uint32_t i = 0; i < 6; ++i) order.push_back({object, i, Access::kWrite});
  store->Announce(order);
  for (uint32_t i = 0; i < 6; ++i) Fill(*store, object, i, i + 9);
  EXPECT_EQ(store->traffic().read_bytes, before);
  for (uint32_t i = 0; i < 6; ++i) ExpectFilled(*store, object, i, i + 9);
}

TEST_F(PageStoreTest, WhatWasAnnouncedNeedNotHappen) {
  const auto store = Make(2);
  const auto object = store->Create(6, kPage), gone = store->Create(2, kPage);
  for (uint32_t i = 0; i < 6; ++i) Fill(*store, object, i, i);
  const std::vector<PageStore::Visit> order = {{object, 0}, {gone, 1}, {object, 3}, {object, 0}};
  store->Announce(order);
  store->Drop(gone);
  for (uint32_t i = 6; i-- > 0;) ExpectFilled(*store, object, i, i);
  store->Announce({});
  for (uint32_t i = 0; i < 6; ++i) ExpectFilled(*store, object, i, i);
}

TEST_F(PageStoreTest, MemoryForOtherThingsComesFromPages) {
  const auto tight = std::make_shared<Context>(1, 6 * kPage);
  PageStore store(tight, 0, folder_);
  const auto object = store.Create(8, kPage);
  for (uint32_t i = 0; i < 8; ++i) Fill(store, object, i, i);
  EXPECT_EQ(tight->budget->used(), 6 * kPage);
  {
    const auto pin = store.Acquire(object, 3, Access::kRead);
    const auto other = tight->Allocate<std::byte>(5 * kPage);
    EXPECT_EQ(tight->budget->used(), 6 * kPage);
    EXPECT_THROW((void)tight->Allocate<std::byte>(1), Error);
    EXPECT_THROW((void)store.Acquire(object, 4, Access::kRead), Error);
  }
  for (uint32_t i = 0; i < 8; ++i) ExpectFilled(store, object, i, i);
}

TEST_F(PageStoreTest, PagesKeepToTheRoomButPinnedOnesMayPassIt) {
  context_->budget->set_room(2 * kPage);
  PageStore store(context_, 0, folder_);
  const auto object = store.Create(5, kPage);
  for (uint32_t i = 0; i < 5; ++i) Fill(store, object, i, i);
  EXPECT_EQ(context_->budget->peak(), 2 * kPage);
  const auto other = context_->Allocate<std::byte>(3 * kPage);
  EXPECT_EQ(context_->budget->used(), 3 * kPage) << "no page is in use";
  ExpectFilled(store, object, 4, 4);
}

// The file that a store of this process has open in the folder, by its number.
int ScratchDescriptor(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.starts_with(folder)) return std::stoi(entry.path().filename().string());
  }
  return -1;
}

TEST_F(PageStoreTest, BytesThatChangedOnTheDiskAreNoticed) {
  const auto store = Make(1);
  const auto object = store->Create(3, kPage);
  for (uint32_t i = 0; i < 3; ++i) Fill(*store, object, i, i);
  const int file = ScratchDescriptor(folder_);
  if (file < 0) GTEST_SKIP() << "no /proc";
  const char wrong = 77;
  ASSERT_EQ(pwrite(file, &wrong, 1, 20), 1);  // in page 0, the first that went
  const std::vector<PageStore::Visit> order = {{object, 1}, {object, 0}};
  store->Announce(order);
  ExpectFilled(*store, object, 1, 1);
  for (int again = 0; again < 2; ++again) {
    test::ExpectError([&] { (void)store->Acquire(object, 0, Access::kRead); }, "ERR_SCRATCH",
                      folder_ + " gave back other bytes");
  }
  Fill(*store, object, 0, 8);
  ExpectFilled(*store, object, 2, 2);
  ExpectFilled(*store, object, 0, 8);
}

TEST_F(PageStoreTest, AFullDiskIsNamedAndLosesNothing) {
  const auto store = Make(2);
  const auto object = store->Create(6, kPage);
  Fill(*store, object, 0, 0);
  Fill(*store, object, 1, 1);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit none = old;
  none.rlim_cur = 0;
  setrlimit(RLIMIT_FSIZE, &none);
  for (int again = 0; again < 2; ++again) {
    test::ExpectError([&] { Fill(*store, object, 2, 2); }, "ERR_SCRATCH", folder_);
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  for (uint32_t i = 2; i < 6; ++i) Fill(*store, object, i, i);
  for (uint32_t i = 0; i < 6; ++i) ExpectFilled(*store, object, i, i);
}

TEST_F(PageStoreTest, APageWithoutBytesIsRefused) {
  const auto store = Make(1);
  const auto object = store->Create(1, 0);
  EXPECT_THROW((void)store->Acquire(object, 0, Access::kRead), Error);
}

TEST_F(PageStoreTest, NothingIsWrittenForWhatWouldNotFitAnyway) {
  const auto tight = std::make_shared<Context>(1, 6 * kPage);
  PageStore store(tight, 0, folder_);
  const auto object = store.Create(4, kPage);
  for (uint32_t i = 0; i < 4; ++i) Fill(store, object, i, i);
  const auto other = tight->Allocate<std::byte>(2 * kPage);
  EXPECT_THROW((void)tight->Allocate<std::byte>(4 * kPage + 1), Error);
  EXPECT_EQ(store.traffic().written_bytes, 0u);
  (void)tight->Allocate<std::byte>(4 * kPage);
  EXPECT_EQ(store.traffic().written_bytes, 4 * kPage);
  for (uint32_t i = 0; i < 4; ++i) ExpectFilled(store, object, i, i);
}

TEST_F(PageStoreTest, UnknownPagesAreRefused) {
  const auto store = Make(1);
  const auto object = store->Create(2, kPage);
  EXPECT_THROW((void)store->Acquire(object, 2, Access::kRead), Error);
  store->Drop(object);
  EXPECT_THROW((void)store->Acquire(object, 0, Access::kRead), Error);
}

// What ThreadSanitizer looks at: workers, the I/O thread and allocations at the same time.
TEST_F(PageStoreTest, ThreadsSharePages) {
  const auto tight = std::make_shared<Context>(4, 12 * kPage);
  const auto store = std::make_shared<PageStore>(tight, 0, folder_);
  constexpr uint32_t kPages = 24;
  const auto object = store->Create(kPages, kPage, 20);
  std::vector<PageStore::Visit> order;
  for (int scan = 0; scan < 20; ++scan) {
    for (uint32_t i = 0; i < kPages; ++i) order.push_back({object, i});
  }
  store->Announce(order);
  std::vector<std::mutex> pages(kPages);
  tight->pool.ParallelFor(order.size(), [&](size_t i, size_t worker) {
    {
      const std::lock_guard own_page(pages[order[i].page]);
      const auto pin = store->Acquire(object, order[i].page, Access::kUpdate);
      for (uint32_t& word : pin.as<uint32_t>()) word += order[i].page;
    }
    if (worker == 1) (void)tight->Allocate<std::byte>(2 * kPage);
    if (i % 50 == 7) {
      const StoredPages own(store, 3, kPage);
      for (size_t page = 0; page < 3; ++page) Fill(*store, own.id(), page, 4);
      for (size_t page = 0; page < 3; ++page) ExpectFilled(*store, own.id(), page, 4);
    }
  });
  for (uint32_t i = 0; i < kPages; ++i) {
    const auto pin = store->Acquire(object, i, Access::kRead);
    for (const uint32_t word : pin.as<uint32_t>()) EXPECT_EQ(word, 20 * i);
  }
  EXPECT_LE(tight->budget->peak(), 12 * kPage);
}

}  // namespace
}  // namespace struprune
