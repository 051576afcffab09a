// What every operation needs of its surroundings: threads, a memory budget, a way to be stopped.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "core/budget.h"
#include "core/error.h"
#include "core/thread_pool.h"

namespace struprune {

class CudaDevice;

struct Context {
  Context(size_t threads, size_t memory_limit)
      : pool(threads), budget(std::make_shared<MemoryBudget>(memory_limit)) {}

  // Throws ERR_ABORTED once the owner has asked to stop; called between tiles.
  void CheckAbort() const {
    if (abort.load(std::memory_order_relaxed)) throw Error("ERR_ABORTED", "the run was aborted");
  }
  template <typename T>
  Buffer<T> Allocate(size_t count) {
    return Buffer<T>(budget, count);
  }

  ThreadPool pool;
  std::shared_ptr<CudaDevice> gpu;  // null: everything runs on the CPU
  std::shared_ptr<MemoryBudget> budget;
  std::atomic<bool> abort{false};
  std::mutex job;  // the pool serves one job at a time
};

}  // namespace struprune
