// Objects made of pages of bytes. Pages in use are in memory under one limit, the others in an
// unlinked scratch file.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/free_space.h"
#include "core/page_order.h"
#include "core/scratch_file.h"
#include "core/stored_page.h"

namespace struprune {

class PageStore {
 public:
  // resident_limit: bytes of pages in memory, 0 = as many as the context's budget has room for.
  // Pages are charged to that budget, and give way where others need memory. The scratch file is
  // made in the folder at the first eviction; without a folder ("") no page leaves memory.
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
    Pin(PageStore* store, StoredPage* page) : store_(store), page_(page) {}
    PageStore* store_ = nullptr;
    StoredPage* page_ = nullptr;
  };

  // Returns when the page is in memory. Several threads may pin, one page too: who reads what
  // another writes is theirs to order. Throws ERR_BUDGET when the page does not fit beside the
  // pinned ones, ERR_SCRATCH when the disk fails or gives back other bytes than it was given.
  Pin Acquire(ObjectId object, size_t page, Access access);

  struct Visit {
    ObjectId object;
    uint32_t page;
    Access access = Access::kUpdate;
  };
  // The pages that will be acquired next, in this order, in place of what was announced before. A
  // hint: it makes no difference to what is read. Pages are read ahead in this order and evicted by
  // their next visit; pages that are not announced are evicted before all others, the least
  // recently used first.
  void Announce(std::span<const Visit> order);

  // Since the store was made.
  struct Traffic {
    uint64_t read_bytes = 0, written_bytes = 0;  // from and to the scratch file
    uint64_t evictions = 0;
    uint64_t read_ahead_hits = 0;  // pages read before they were asked for
  };
  Traffic traffic() const;
  // Bytes that pages can fill beside everything else there is at this moment; SIZE_MAX: any.
  size_t Capacity() const;
  // What the scratch file reaches to.
  uint64_t scratch_bytes() const;
  // Whose budget its pages are charged to.
  const std::shared_ptr<Context>& context() const { return context_; }

 private:
  using Lock = std::unique_lock<std::mutex>;

  StoredPage& Find(ObjectId object, size_t page);
  void Bring(Lock& lock, StoredPage& page, bool keep);
  Buffer<std::byte> Allocate(Lock& lock, size_t bytes);
  Buffer<std::byte> TryAllocate(size_t bytes);
  bool FitsLimit(size_t bytes) const { return limit_ == 0 || resident_bytes_ + bytes <= limit_; }
  bool GiveWay(size_t bytes, bool last);
  Buffer<std::byte> Evict(Lock& lock, StoredPage& victim);
  bool IsMoving() const;
  void Enter(StoredPage& page, Buffer<std::byte> memory);
  Buffer<std::byte> Leave(StoredPage& page);
  void SetChanged(StoredPage& page, bool changed);
  void WakeIo();

  // page_store_io.cpp; the lock is open while bytes move.
  void Clear(Lock& lock, StoredPage& page);
  void Read(Lock& lock, StoredPage& page);
  void Write(Lock& lock, StoredPage& page);
  void Settle(StoredPage& page);
  void RunIo();
  bool ReadAhead(Lock& lock);
  bool WriteBehind(Lock& lock);
  bool TryWrite(Lock& lock, StoredPage& page);

  const std::shared_ptr<Context> context_;
  const size_t limit_;
  const std::string folder_;
  mutable std::mutex mutex_;
  std::condition_variable moved_;  // a page is no longer busy
  std::condition_variable wake_;   // the I/O thread may have something to do
  std::unordered_map<ObjectId, std::vector<StoredPage>> objects_;
  ObjectId next_object_ = 0;
  std::vector<StoredPage*> resident_;  // all with memory
  size_t resident_bytes_ = 0;
  size_t outside_ = 0;  // pages that are in scratch alone
  size_t changed_ = 0;  // pages whose memory is newer than their copy
  size_t largest_ = 0;  // bytes of the largest page so far
  uint64_t clock_ = 0;
  PageOrder order_;
  FreeSpace space_;
  std::optional<ScratchFile> file_;
  Traffic traffic_;
  size_t givers_ = 0;          // threads that free memory, which pages must not take again
  bool cannot_write_ = false;  // the I/O thread leaves the error to those who need the room
  bool stop_ = false;
  std::thread io_;  // runs from the first eviction on
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
  const std::shared_ptr<PageStore>& shared_store() const { return store_; }
  PageStore::ObjectId id() const { return id_; }
  PageStore::Pin Acquire(size_t page, PageStore::Access access) const {
    return store_->Acquire(id_, page, access);
  }

 private:
  const std::shared_ptr<PageStore> store_;
  const PageStore::ObjectId id_;
};

}  // namespace struprune
