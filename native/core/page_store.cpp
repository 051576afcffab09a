#include "core/page_store.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace struprune {
namespace {

using Busy = StoredPage::Busy;

}  // namespace

size_t StoredPage::Space() const {
  constexpr size_t kBlock = 4096;  // of file systems: no write has to read a part of one first
  return (bytes + kBlock - 1) / kBlock * kBlock;
}

PageStore::PageStore(std::shared_ptr<Context> context, size_t resident_limit,
                     std::string scratch_folder)
    : context_(std::move(context)), limit_(resident_limit), folder_(std::move(scratch_folder)) {
  if (!folder_.empty()) {
    context_->budget->Add(this, [this](size_t bytes, bool last) { return GiveWay(bytes, last); });
  }
}

PageStore::~PageStore() {
  context_->budget->Remove(this);
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (io_.joinable()) io_.join();
}

PageStore::ObjectId PageStore::Create(size_t pages, size_t page_bytes, size_t last_bytes) {
  std::vector<StoredPage> made(pages);
  for (StoredPage& page : made) page.bytes = page_bytes;
  if (pages > 0) made.back().bytes = last_bytes;
  const std::lock_guard lock(mutex_);
  largest_ = std::max({largest_, page_bytes, last_bytes});
  objects_.emplace(next_object_, std::move(made));
  return next_object_++;
}

void PageStore::Drop(ObjectId object) noexcept {
  Lock lock(mutex_);
  const uint64_t end = space_.end();
  for (StoredPage& page : objects_[object]) {
    order_.Forget(page);
    moved_.wait(lock, [&] { return page.busy == Busy::kNo; });
    if (!page.memory.empty()) Leave(page);
    if (page.stored) --outside_;
    if (page.place) space_.Give(*page.place, page.Space());
  }
  objects_.erase(object);
  if (space_.end() < end) file_->Truncate(space_.end());
}

StoredPage& PageStore::Find(ObjectId object, size_t page) {
  const auto found = objects_.find(object);
  if (found == objects_.end() || page >= found->second.size()) {
    throw Error("ERR_INTERNAL", "no such page in the store");
  }
  return found->second[page];
}

PageStore::Pin PageStore::Acquire(ObjectId object, size_t index, Access access) {
  Lock lock(mutex_);
  StoredPage& page = Find(object, index);
  if (page.bytes == 0) throw Error("ERR_INTERNAL", "a page without bytes was asked for");
  order_.Take(page);
  // A page on its way to scratch may be read meanwhile.
  const auto usable = [&] {
    return page.busy == Busy::kNo || (page.busy == Busy::kWriting && access == Access::kRead);
  };
  // From here on, so that nobody evicts what is being waited for: its next visit is far by now.
  ++page.pins;
  try {
    moved_.wait(lock, usable);
    while (page.memory.empty()) {
      Bring(lock, page, access != Access::kWrite);
      moved_.wait(lock, usable);
    }
  } catch (...) {
    --page.pins;
    throw;
  }
  if (std::exchange(page.ahead, false)) ++traffic_.read_ahead_hits;
  page.used = ++clock_;
  if (access != Access::kRead) SetChanged(page, true);
  WakeIo();
  return {this, &page};
}

// `keep`: with the bytes that it had.
void PageStore::Bring(Lock& lock, StoredPage& page, bool keep) {
  page.busy = Busy::kReading;
  try {
    Enter(page, Allocate(lock, page.bytes));
    if (keep && page.stored) {
      Read(lock, page);
    } else if (keep) {
      Clear(lock, page);
    }
  } catch (...) {
    if (!page.memory.empty()) Leave(page);
    Settle(page);
    throw;
  }
  Settle(page);
}

Buffer<std::byte> PageStore::Allocate(Lock& lock, size_t bytes) {
  while (true) {
    if (auto memory = TryAllocate(bytes); !memory.empty()) return memory;
    if (StoredPage* victim = folder_.empty() ? nullptr : PageOrder::Farthest(resident_)) {
      auto memory = Evict(lock, *victim);
      if (memory.size() == bytes) return memory;
    } else if (!folder_.empty() && IsMoving()) {
      moved_.wait(lock);
    } else if (!FitsLimit(bytes)) {
      throw Error("ERR_BUDGET",
                  "a page of " + std::to_string(bytes) + " bytes does not fit beside those in use" +
                      ": " + std::to_string(resident_bytes_) + " of " + std::to_string(limit_) +
                      " bytes",
                  "raise --memory");
    } else if (folder_.empty()) {
      // The pages of others give way. No one of them ever waits for this store's lock.
      return Buffer<std::byte>(context_->budget, bytes);
    } else if (auto memory = Buffer<std::byte>::Try(context_->budget, bytes, true);
               !memory.empty()) {
      return memory;
    } else {
      context_->budget->Refuse(bytes);
    }
  }
}

// Empty where it does not fit.
Buffer<std::byte> PageStore::TryAllocate(size_t bytes) {
  if (!FitsLimit(bytes)) return {};
  return Buffer<std::byte>::Try(context_->budget, bytes, false);
}

size_t PageStore::Capacity() const {
  const std::lock_guard lock(mutex_);
  const size_t most = limit_ == 0 ? SIZE_MAX : limit_, room = context_->budget->room();
  if (room == 0) return most;
  const size_t others = context_->budget->used() - resident_bytes_;
  return std::min(most, room > others ? room - others : 0);
}

// MemoryBudget::GiveWay: the store's part in making place for something else. Pages stay where the
// place would not be enough without any of them.
bool PageStore::GiveWay(size_t bytes, bool last) {
  Lock lock(mutex_);
  const size_t limit = context_->budget->limit();
  if (last && limit != 0 && context_->budget->used() - resident_bytes_ + bytes > limit) {
    return false;
  }
  ++givers_;
  bool charged = false;
  try {
    while (!(charged = context_->budget->TryCharge(bytes))) {
      if (StoredPage* victim = PageOrder::Farthest(resident_)) {
        Evict(lock, *victim);
      } else if (IsMoving()) {
        moved_.wait(lock);
      } else {
        break;
      }
    }
  } catch (...) {
    --givers_;
    throw;
  }
  --givers_;
  return charged;
}

// The memory of a page that was evicted, empty where somebody pinned it while it was being written.
Buffer<std::byte> PageStore::Evict(Lock& lock, StoredPage& victim) {
  if (!io_.joinable()) io_ = std::thread([this] { RunIo(); });
  if (victim.changed) Write(lock, victim);
  if (victim.pins > 0 || victim.changed) return {};
  ++traffic_.evictions;
  order_.Left(victim);
  return Leave(victim);
}

bool PageStore::IsMoving() const {
  return std::ranges::any_of(resident_, [](auto* page) { return page->busy != Busy::kNo; });
}

void PageStore::Enter(StoredPage& page, Buffer<std::byte> memory) {
  page.memory = std::move(memory);
  resident_.push_back(&page);
  resident_bytes_ += page.bytes;
  if (page.stored) --outside_;
}

Buffer<std::byte> PageStore::Leave(StoredPage& page) {
  std::erase(resident_, &page);
  resident_bytes_ -= page.bytes;
  if (page.stored) ++outside_;
  SetChanged(page, false);
  page.ahead = false;
  return std::move(page.memory);
}

void PageStore::SetChanged(StoredPage& page, bool changed) {
  if (page.changed == changed) return;
  page.changed = changed;
  changed ? ++changed_ : --changed_;
}

// Where there is nothing to read ahead and nothing to write behind, the I/O thread sleeps on.
void PageStore::WakeIo() {
  if (order_.MayRead() || (outside_ > 0 && changed_ > 0)) wake_.notify_one();
}

void PageStore::Announce(std::span<const Visit> order) {
  const Lock lock(mutex_);
  std::vector<PageOrder::Visit> visits;
  for (const auto& [object, page, access] : order) {
    visits.push_back({&Find(object, page), access != Access::kWrite});
  }
  order_.Announce(visits);
  WakeIo();
}

PageStore::Traffic PageStore::traffic() const {
  const Lock lock(mutex_);
  return traffic_;
}

uint64_t PageStore::scratch_bytes() const {
  const Lock lock(mutex_);
  return space_.end();
}

PageStore::Pin& PageStore::Pin::operator=(Pin&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(page_, other.page_);
  return *this;
}

PageStore::Pin::~Pin() {
  if (!store_) return;
  const Lock lock(store_->mutex_);
  --page_->pins;
  store_->WakeIo();
}

std::span<std::byte> PageStore::Pin::bytes() const { return page_->memory.span(); }

}  // namespace struprune
