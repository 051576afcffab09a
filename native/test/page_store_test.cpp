#include "core/page_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "expect_error.h"

namespace struprune {
namespace {

using Access = PageStore::Access;
constexpr size_t kPage = 64;

class PageStoreTest : public testing::Test {
 protected:
  PageStoreTest() : folder_(testing::TempDir() + "page-store") {
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

TEST_F(PageStoreTest, WithoutALimitNothingGoesToScratch) {
  const auto store = std::make_shared<PageStore>(context_, 0, folder_ + "/missing");
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
    EXPECT_LE(store->scratch_bytes(), 4 * kPage);
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

TEST_F(PageStoreTest, UnknownPagesAreRefused) {
  const auto store = Make(1);
  const auto object = store->Create(2, kPage);
  EXPECT_THROW((void)store->Acquire(object, 2, Access::kRead), Error);
  store->Drop(object);
  EXPECT_THROW((void)store->Acquire(object, 0, Access::kRead), Error);
}

TEST_F(PageStoreTest, ThreadsSharePages) {
  const auto store = Make(8);
  const auto object = store->Create(20, kPage);
  context_->pool.ParallelFor(
      20, [&](size_t i, size_t) { Fill(*store, object, i, static_cast<uint32_t>(i)); });
  context_->pool.ParallelFor(400, [&](size_t i, size_t) {
    ExpectFilled(*store, object, i * 7 % 20, static_cast<uint32_t>(i * 7 % 20));
  });
}

}  // namespace
}  // namespace struprune
