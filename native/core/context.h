// What every operation needs of its surroundings: threads, a memory budget, a way to be stopped.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "core/budget.h"
#include "core/error.h"
#include "core/thread_pool.h"

namespace struprune {

class CudaDevice;

struct Context {
  // `enter_thread` is run by every thread of the pool, and by one that starts a job.
  Context(size_t threads, size_t memory_limit, std::function<void()> enter_thread = {})
      : enter(std::move(enter_thread)),
        pool(threads, enter),
        budget(std::make_shared<MemoryBudget>(memory_limit)) {}

  // Throws ERR_ABORTED once the owner has asked to stop; called between tiles.
  void CheckAbort() const {
    if (abort.load(std::memory_order_relaxed)) throw Error("ERR_ABORTED", "the run was aborted");
  }
  template <typename T>
  Buffer<T> Allocate(size_t count) {
    return Buffer<T>(budget, count);
  }

  const std::function<void()> enter;
  ThreadPool pool;
  std::shared_ptr<CudaDevice> gpu;  // null: everything runs on the CPU
  std::shared_ptr<MemoryBudget> budget;
  std::atomic<bool> abort{false};
  std::mutex job;  // the pool serves one job at a time
};

}  // namespace struprune
