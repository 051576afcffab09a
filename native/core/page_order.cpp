#include "core/page_order.h"

#include <utility>

namespace struprune {

void PageOrder::Announce(std::span<const Visit> visits) {
  for (const Entry& entry : entries_) {
    if (entry.page) entry.page->next_visit = StoredPage::kNever;
  }
  entries_.clear();
  for (const auto& [page, reads] : visits) entries_.push_back({page, reads, StoredPage::kNever});
  for (size_t i = entries_.size(); i-- > 0;) {
    entries_[i].next = std::exchange(entries_[i].page->next_visit, static_cast<uint32_t>(i));
  }
  ahead_ = over_ = 0;
}

void PageOrder::Pop(StoredPage& page) {
  Entry& entry = entries_[page.next_visit];
  entry.page = nullptr;
  page.next_visit = entry.next;
}

void PageOrder::Take(StoredPage& page) {
  if (page.next_visit != StoredPage::kNever) Pop(page);
}

void PageOrder::Forget(StoredPage& page) {
  while (page.next_visit != StoredPage::kNever) Pop(page);
}

StoredPage* PageOrder::NextToRead() {
  for (; ahead_ < entries_.size(); ++ahead_) {
    const auto& [page, reads, next] = entries_[ahead_];
    // With an earlier visit to come it was looked at there.
    if (page && reads && page->next_visit == ahead_ && page->stored && !page->failed &&
        page->memory.empty() && page->busy == StoredPage::Busy::kNo) {
      return page;
    }
  }
  return nullptr;
}

size_t PageOrder::Before(const StoredPage& page) {
  while (over_ < entries_.size() && !entries_[over_].page) ++over_;
  return page.next_visit - over_;
}

void PageOrder::Left(const StoredPage& page) {
  if (page.next_visit < ahead_) ahead_ = page.next_visit;
}

StoredPage* PageOrder::Farthest(std::span<StoredPage* const> pages) {
  StoredPage* farthest = nullptr;
  for (StoredPage* page : pages) {
    if (page->pins > 0 || page->busy != StoredPage::Busy::kNo) continue;
    if (!farthest || page->next_visit > farthest->next_visit ||
        (page->next_visit == farthest->next_visit && page->used < farthest->used)) {
      farthest = page;
    }
  }
  return farthest;
}

StoredPage* PageOrder::Farthest(std::span<StoredPage* const> pages, uint32_t after) {
  StoredPage* farthest = Farthest(pages);
  return farthest && farthest->next_visit > after ? farthest : nullptr;
}

}  // namespace struprune
