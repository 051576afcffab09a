// The one way in which pages of tokens stream through a GPU: a page is copied while another is
// computed.
#pragma once

#include <cstddef>
#include <deque>

#include "backend/streams.h"

namespace struprune {

// Pages in flight.
inline constexpr size_t kSlots = 2;

// Rows [row, row + rows) of what streams.
struct DevicePage {
  size_t row = 0, rows = 0;
};

// Bytes of the GPU's budget that a body takes, the work space of its operations included, and of
// pinned host memory.
struct BodyBytes {
  uint64_t device = 0, pinned = 0;
};

// What becomes of a page, in one of kSlots slots, step by step.
class PageBody {
 public:
  virtual ~PageBody() = default;
  // Host: fills the slot's pinned memory.
  virtual void Stage(size_t slot, const DevicePage& page) = 0;
  // Sets its copies in off, by the stream In().
  virtual void Upload(size_t slot, const DevicePage& page) = 0;
  virtual cuda::Queue In() const { return cuda::Queue::kCopyIn; }
  // By the compute stream: the forward pass, what is summed of it, and the rest of it.
  virtual void Forward(size_t, const DevicePage&) {}
  virtual void Sum(size_t, const DevicePage&) {}
  virtual void Finish(size_t, const DevicePage&) {}
  // Sets its copies out off, by kCopyOut.
  virtual void Download(size_t, const DevicePage&) {}
  // Host: takes what came back.
  virtual void Take(size_t, const DevicePage&) {}
};

// Counts the seconds of the streams. Declared behind the arrays of its body: it waits for what is
// under way before they go.
class PageRunner {
 public:
  PageRunner(const CudaDevice& gpu, PageBody& body);
  ~PageRunner();
  PageRunner(const PageRunner&) = delete;
  PageRunner& operator=(const PageRunner&) = delete;

  // Takes the oldest page where all slots are in flight, and sets this one off.
  void Push(const DevicePage& page);
  // Takes all that are in flight.
  void Drain();

 private:
  // How far a page has come.
  struct Slot {
    explicit Slot(const CudaDevice& gpu);
    StreamEvent pushed, uploaded, started, forwarded, summed, computed, leaving, downloaded;
    DevicePage page;
  };
  void TakeOldest();

  const CudaDevice& gpu_;
  PageBody& body_;
  Slot slots_[kSlots];
  std::deque<size_t> waiting_;
  size_t next_ = 0;
};

}  // namespace struprune
