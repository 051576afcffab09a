#include "core/page_store.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/hash.h"

namespace struprune {

PageStore::PageStore(std::shared_ptr<Context> context, size_t resident_limit,
                     std::string scratch_folder)
    : context_(std::move(context)), limit_(resident_limit), folder_(std::move(scratch_folder)) {}

PageStore::~PageStore() = default;

PageStore::ObjectId PageStore::Create(size_t pages, size_t page_bytes, size_t last_bytes) {
  std::vector<Page> made(pages);
  for (Page& page : made) page.bytes = page_bytes;
  if (pages > 0) made.back().bytes = last_bytes;
  const std::lock_guard lock(mutex_);
  objects_.emplace(next_object_, std::move(made));
  return next_object_++;
}

void PageStore::Drop(ObjectId object) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(object);
  if (found == objects_.end()) return;
  for (Page& page : found->second) {
    if (!page.memory.empty()) Forget(page);
    if (page.offset) space_.Give(*page.offset, page.bytes);
  }
  objects_.erase(found);
}

PageStore::Page& PageStore::Find(ObjectId object, size_t page) {
  const auto found = objects_.find(object);
  if (found == objects_.end() || page >= found->second.size()) {
    throw Error("ERR_INTERNAL", "no such page in the store");
  }
  return found->second[page];
}

PageStore::Pin PageStore::Acquire(ObjectId object, size_t index, Access access) {
  const std::lock_guard lock(mutex_);
  Page& page = Find(object, index);
  if (page.memory.empty()) MakeResident(page, access != Access::kWrite);
  page.used = ++clock_;
  if (access != Access::kRead) page.changed = true;
  ++page.pins;
  return {this, &page};
}

// `keep`: with the bytes that it had.
void PageStore::MakeResident(Page& page, bool keep) {
  auto memory = Allocate(page.bytes);
  if (keep && page.offset) {
    file_->Read(*page.offset, memory.span());
    traffic_.read_bytes += page.bytes;
    if (Hash(memory.span()) != page.hash) {
      throw Error("ERR_SCRATCH",
                  "scratch file in " + file_->folder() + " gave back other bytes than it was given",
                  "check that disk, or name a folder on another with --scratch");
    }
  } else if (keep) {
    std::fill_n(memory.data(), page.bytes, std::byte{0});
  }
  page.memory = std::move(memory);
  page.changed = false;
  resident_.push_back(&page);
  resident_bytes_ += page.bytes;
}

Buffer<std::byte> PageStore::Allocate(size_t bytes) {
  while (limit_ != 0 && resident_bytes_ + bytes > limit_) {
    if (EvictOne()) continue;
    throw Error("ERR_BUDGET",
                "a page of " + std::to_string(bytes) + " bytes does not fit beside those in use, " +
                    std::to_string(resident_bytes_) + " of " + std::to_string(limit_) + " bytes",
                "raise --memory");
  }
  while (true) {
    try {
      return context_->Allocate<std::byte>(bytes);
    } catch (const Error&) {
      if (limit_ == 0 || !EvictOne()) throw;
    }
  }
}

bool PageStore::EvictOne() {
  Page* oldest = nullptr;
  for (Page* page : resident_) {
    if (page->pins == 0 && (!oldest || page->used < oldest->used)) oldest = page;
  }
  if (!oldest) return false;
  if (oldest->changed) Write(*oldest);
  Forget(*oldest);
  ++traffic_.evictions;
  return true;
}

void PageStore::Write(Page& page) {
  if (!file_) file_.emplace(folder_);
  if (!page.offset) page.offset = space_.Take(page.bytes);
  file_->Write(*page.offset, page.memory.span());
  page.hash = Hash(page.memory.span());
  page.changed = false;
  traffic_.written_bytes += page.bytes;
}

void PageStore::Forget(Page& page) {
  page.memory = {};
  resident_bytes_ -= page.bytes;
  std::erase(resident_, &page);
}

PageStore::Traffic PageStore::traffic() const {
  const std::lock_guard lock(mutex_);
  return traffic_;
}

uint64_t PageStore::scratch_bytes() const {
  const std::lock_guard lock(mutex_);
  return space_.end();
}

void PageStore::Announce(std::span<const Visit>) {}

PageStore::Pin& PageStore::Pin::operator=(Pin&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(page_, other.page_);
  return *this;
}

PageStore::Pin::~Pin() {
  if (!store_) return;
  const std::lock_guard lock(store_->mutex_);
  --page_->pins;
}

std::span<std::byte> PageStore::Pin::bytes() const { return page_->memory.span(); }

}  // namespace struprune
