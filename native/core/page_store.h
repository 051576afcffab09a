// Objects made of pages of bytes. Pages in use are in memory under one limit, the others in an
// unlinked scratch file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/context.h"
#include "core/free_space.h"
#include "core/scratch_file.h"

namespace struprune {

class PageStore {
  struct Page;

 public:
  // resident_limit: bytes of pages in memory, 0 = all of them and no scratch file. What is resident
  // is charged to the context's budget too; past that, pages are evicted as past the limit. The
  // scratch file is made in the folder at the first eviction.
  PageStore(std::shared_ptr<Context> context, size_t resident_limit, std::string scratch_folder);
  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  using ObjectId = uint32_t;

  // Pages read as zeros until they are written. `last_bytes`: size of a shorter last page.
  ObjectId Create(size_t pages, size_t page_bytes) { return Create(pages, page_bytes, page_bytes); }
  ObjectId Create(size_t pages, size_t page_bytes, size_t last_bytes);
  // Forgets an object of which no page is pinned; its space is used again.
  void Drop(ObjectId object) noexcept;

  // kRead: bytes are read. kUpdate: read and written. kWrite: all of them are overwritten, what
  // they were before is not wanted and not defined.
  enum class Access : uint8_t { kRead, kWrite, kUpdate };

  // A page that stays in memory while the pin lives.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept { *this = std::move(other); }
    Pin& operator=(Pin&& other) noexcept;
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin();
    std::span<std::byte> bytes() const;
    template <typename T>
    std::span<T> as() const {
      return {reinterpret_cast<T*>(bytes().data()), bytes().size() / sizeof(T)};
    }

   private:
    friend PageStore;
    Pin(PageStore* store, Page* page) : store_(store), page_(page) {}
    PageStore* store_ = nullptr;
    Page* page_ = nullptr;
  };

  // Returns when the page is in memory. Several threads may pin, one page too: who reads what
  // another writes is theirs to order. Throws ERR_BUDGET when the page does not fit beside the
  // pinned ones, ERR_SCRATCH when the disk fails or gives back other bytes than it was given.
  Pin Acquire(ObjectId object, size_t page, Access access);

  struct Visit {
    ObjectId object;
    uint32_t page;
  };
  // The pages that will be acquired next, in this order, in place of what was announced before. A
  // hint: it makes no difference to what is read.
  void Announce(std::span<const Visit> order);

  // Since the store was made.
  struct Traffic {
    uint64_t read_bytes = 0, written_bytes = 0;  // from and to the scratch file
    uint64_t evictions = 0;
    uint64_t read_ahead_hits = 0;  // pages that were there before they were asked for
  };
  Traffic traffic() const;
  // What the scratch file reaches to.
  uint64_t scratch_bytes() const;

 private:
  struct Page {
    size_t bytes = 0;
    Buffer<std::byte> memory;        // empty: not resident
    std::optional<uint64_t> offset;  // of its copy in the scratch file
    uint64_t hash = 0;               // of that copy
    bool changed = false;            // memory is newer than the copy
    uint32_t pins = 0;
    uint64_t used = 0;  // when it was acquired last, on the store's clock
  };

  Page& Find(ObjectId object, size_t page);
  void MakeResident(Page& page, bool keep);
  Buffer<std::byte> Allocate(size_t bytes);
  bool EvictOne();
  void Write(Page& page);
  void Forget(Page& page);

  const std::shared_ptr<Context> context_;
  const size_t limit_;
  const std::string folder_;
  mutable std::mutex mutex_;
  std::unordered_map<ObjectId, std::vector<Page>> objects_;
  ObjectId next_object_ = 0;
  std::vector<Page*> resident_;
  size_t resident_bytes_ = 0;
  uint64_t clock_ = 0;
  FreeSpace space_;
  std::optional<ScratchFile> file_;
  Traffic traffic_;
};

// An object that is dropped with its owner.
class StoredPages {
 public:
  StoredPages(std::shared_ptr<PageStore> store, size_t pages, size_t page_bytes)
      : StoredPages(std::move(store), pages, page_bytes, page_bytes) {}
  StoredPages(std::shared_ptr<PageStore> store, size_t pages, size_t page_bytes, size_t last_bytes)
      : store_(std::move(store)), id_(store_->Create(pages, page_bytes, last_bytes)) {}
  ~StoredPages() { store_->Drop(id_); }
  StoredPages(const StoredPages&) = delete;
  StoredPages& operator=(const StoredPages&) = delete;

  PageStore& store() const { return *store_; }
  PageStore::ObjectId id() const { return id_; }
  PageStore::Pin Acquire(size_t page, PageStore::Access access) const {
    return store_->Acquire(id_, page, access);
  }

 private:
  const std::shared_ptr<PageStore> store_;
  const PageStore::ObjectId id_;
};

}  // namespace struprune
