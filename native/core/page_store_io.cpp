// The page store's way to and from its scratch file, and the thread that goes it ahead of time.
#include <algorithm>
#include <new>

#include "core/error.h"
#include "core/hash.h"
#include "core/page_store.h"

namespace struprune {
namespace {

using Busy = StoredPage::Busy;

// Opens the lock while it lives.
class Unlocked {
 public:
  explicit Unlocked(std::unique_lock<std::mutex>& lock) : lock_(lock) { lock_.unlock(); }
  ~Unlocked() { lock_.lock(); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  std::unique_lock<std::mutex>& lock_;
};

}  // namespace

// Both of a busy page with memory.
void PageStore::Clear(Lock& lock, StoredPage& page) {
  const auto bytes = page.memory.span();
  const Unlocked open(lock);
  std::ranges::fill(bytes, std::byte{0});
}

void PageStore::Read(Lock& lock, StoredPage& page) {
  const auto bytes = page.memory.span();
  bool same;
  {
    const Unlocked open(lock);
    file_->Read(*page.place, bytes);
    same = Hash(bytes) == page.hash;
  }
  traffic_.read_bytes += page.bytes;
  if (same) return;
  throw Error("ERR_SCRATCH",
              "the scratch file in " + folder_ + " gave back other bytes than it was given",
              "check that disk, or name a folder on another one with --scratch");
}

void PageStore::Write(Lock& lock, StoredPage& page) {
  if (!file_) file_.emplace(folder_);
  if (!page.place) page.place = space_.Take(page.Space());
  page.busy = Busy::kWriting;
  const auto bytes = page.memory.span();
  try {
    const Unlocked open(lock);
    page.hash = Hash(bytes);
    file_->Write(*page.place, bytes);
  } catch (...) {
    Settle(page);
    throw;
  }
  page.stored = true;
  SetChanged(page, false);
  page.failed = cannot_write_ = false;
  traffic_.written_bytes += page.bytes;
  Settle(page);
}

// The page is no longer on its way.
void PageStore::Settle(StoredPage& page) {
  page.busy = Busy::kNo;
  moved_.notify_all();
}

void PageStore::RunIo() {
  Lock lock(mutex_);
  while (!stop_) {
    if (!ReadAhead(lock) && !WriteBehind(lock)) wake_.wait(lock);
  }
}

// Both say whether there was something to do. What is read in takes the place of a page that is
// wanted later, of half of the pages at most: what is read further ahead would take the place of
// pages that come again soon, where those that will be at hand until then would go at less cost.
bool PageStore::ReadAhead(Lock& lock) {
  StoredPage* page = givers_ > 0 ? nullptr : order_.NextToRead();
  if (!page) return false;
  Buffer<std::byte> memory;
  try {
    memory = TryAllocate(page->bytes);
  } catch (const std::bad_alloc&) {
    // The system has none: who needs the page hears of it.
    return false;
  }
  if (memory.empty()) {
    if (order_.Before(*page) >= std::max<size_t>(1, resident_.size() / 2)) return false;
    StoredPage* victim = PageOrder::Farthest(resident_, page->next_visit);
    if (!victim) return false;
    if (victim->changed) return TryWrite(lock, *victim);
    memory = Evict(lock, *victim);
    if (memory.size() != page->bytes) return true;
  }
  page->busy = Busy::kReading;
  Enter(*page, std::move(memory));
  try {
    Read(lock, *page);
    page->ahead = true;
  } catch (...) {
    page->failed = true;
    Leave(*page);
  }
  Settle(*page);
  return true;
}

// Where pages have to go, the one that goes next has its copy in scratch by then.
bool PageStore::WriteBehind(Lock& lock) {
  const auto fits = [&](size_t bytes) {
    return FitsLimit(bytes) && context_->budget->HasRoom(bytes);
  };
  if (outside_ == 0 || changed_ == 0 || fits(largest_)) return false;
  StoredPage* next = PageOrder::Farthest(resident_);
  if (!next || !next->changed || fits(next->bytes)) return false;
  return TryWrite(lock, *next);
}

bool PageStore::TryWrite(Lock& lock, StoredPage& page) {
  if (cannot_write_) return false;
  try {
    Write(lock, page);
  } catch (...) {
    cannot_write_ = true;
  }
  return !cannot_write_;
}

}  // namespace struprune
