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
class PackedWeights;

struct Context {
  // `enter_thread` is run by the thread that begins a job and by every other thread that takes part
  // in it: it chooses how products are made, of which sums over calibration tokens allow faster
  // ones.
  using Enter = std::function<void(bool calibrating)>;

  Context(size_t threads, size_t memory_limit, Enter enter_thread = {})
      : enter(std::move(enter_thread)),
        pool(threads,
             [this] {
               if (enter) enter(job_calibrates);
             }),
        budget(std::make_shared<MemoryBudget>(memory_limit)) {}

  // Throws ERR_ABORTED once the owner has asked to stop; called between tiles.
  void CheckAbort() const {
    if (abort.load(std::memory_order_relaxed)) throw Error("ERR_ABORTED", "the run was aborted");
  }
  // By the thread that runs a job, which holds the lock.
  void BeginJob(bool calibrating) {
    budget->KeepStorage();
    job_calibrates = calibrating;
    if (enter) enter(calibrating);
  }
  template <typename T>
  Buffer<T> Allocate(size_t count) {
    return Buffer<T>(budget, count);
  }

  const Enter enter;
  std::atomic<bool> job_calibrates{false};  // the one that runs
  ThreadPool pool;
  std::shared_ptr<CudaDevice> gpu;        // null: everything runs on the CPU
  const PackedWeights* packed = nullptr;  // of the pass that runs
  std::shared_ptr<MemoryBudget> budget;
  std::atomic<bool> abort{false};
  std::mutex job;                            // the pool serves one job at a time
  std::atomic<bool> next_calibrates{false};  // jobs that are asked for from now on
};

}  // namespace struprune
