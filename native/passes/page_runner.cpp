#include "passes/page_runner.h"

namespace struprune {

using cuda::Queue;

PageRunner::Slot::Slot(const CudaDevice& gpu)
    : pushed(gpu),
      uploaded(gpu),
      started(gpu),
      forwarded(gpu),
      summed(gpu),
      computed(gpu),
      leaving(gpu),
      downloaded(gpu) {}

PageRunner::PageRunner(const CudaDevice& gpu, PageBody& body)
    : gpu_(gpu), body_(body), slots_{Slot(gpu), Slot(gpu)} {}

PageRunner::~PageRunner() {
  for (const Queue stream : {Queue::kCopyIn, Queue::kCompute, Queue::kCopyOut}) {
    gpu_.CallClosing(&cuda::Api::synchronise, stream);
  }
}

void PageRunner::Push(const DevicePage& page) {
  if (waiting_.size() == kSlots) TakeOldest();
  const size_t at = next_;
  Slot& slot = slots_[at];
  slot.page = page;
  body_.Stage(at, page);
  slot.pushed.Record(body_.In());
  body_.Upload(at, page);
  slot.uploaded.Record(body_.In());
  slot.uploaded.HoldUp(Queue::kCompute);
  // After the wait: the page before may still be computed when this one has come.
  slot.started.Record(Queue::kCompute);
  body_.Forward(at, page);
  slot.forwarded.Record(Queue::kCompute);
  body_.Sum(at, page);
  slot.summed.Record(Queue::kCompute);
  body_.Finish(at, page);
  slot.computed.Record(Queue::kCompute);
  slot.computed.HoldUp(Queue::kCopyOut);
  slot.leaving.Record(Queue::kCopyOut);
  body_.Download(at, page);
  slot.downloaded.Record(Queue::kCopyOut);
  waiting_.push_back(at);
  next_ = (at + 1) % kSlots;
}

void PageRunner::Drain() {
  while (!waiting_.empty()) TakeOldest();
}

void PageRunner::TakeOldest() {
  const size_t at = waiting_.front();
  const Slot& slot = slots_[at];
  waiting_.pop_front();
  slot.downloaded.Reach();
  StreamTimes& times = gpu_.times();
  times.copy_in += slot.pushed.SecondsTo(slot.uploaded);
  times.forward += slot.started.SecondsTo(slot.forwarded) + slot.summed.SecondsTo(slot.computed);
  times.sums += slot.forwarded.SecondsTo(slot.summed);
  times.copy_out += slot.leaving.SecondsTo(slot.downloaded);
  body_.Take(at, slot.page);
}

}  // namespace struprune
