// The order in which pages were announced to be acquired: what to read next, and which page is not
// needed for longest.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/stored_page.h"

namespace struprune {

class PageOrder {
 public:
  struct Visit {
    StoredPage* page;
    bool reads;  // wants the bytes that the page had
  };
  // Takes the place of what is left of the order before.
  void Announce(std::span<const Visit> visits);
  // The page is acquired now: its next visit is over.
  void Take(StoredPage& page);
  // The page is gone; so are its visits.
  void Forget(StoredPage& page);

  // Whether there may be a page to be read; false: there is none.
  bool MayRead() const { return ahead_ < entries_.size(); }
  // The next page to be read from scratch, null when there is none.
  StoredPage* NextToRead();
  // Announced visits that come before the page's next one.
  size_t Before(const StoredPage& page);
  // The page left memory: it may have to be read again.
  void Left(const StoredPage& page);

  // The page to evict (Belady, "A study of replacement algorithms", 1966): the one whose next visit
  // is the farthest, pages without one before all others, the least recently used of them first.
  // Only of pages that are neither pinned nor busy, with their next visit after `after`; null when
  // there is none.
  static StoredPage* Farthest(std::span<StoredPage* const> pages);
  static StoredPage* Farthest(std::span<StoredPage* const> pages, uint32_t after);

 private:
  struct Entry {
    StoredPage* page;  // null: over
    bool reads;
    uint32_t next;  // visit of the same page
  };
  void Pop(StoredPage& page);

  std::vector<Entry> entries_;
  size_t ahead_ = 0;  // entries before it need no reading
  size_t over_ = 0;   // entries before it are over
};

}  // namespace struprune
