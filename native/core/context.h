// What every operation needs of its surroundings: threads, a memory budget, a way to be stopped.
#pragma once

#include <atomic>
#include <cstdint>
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

// What a job's products are for, which says how exact they must be: what is measured; sums over
// calibration tokens (docs/decisions/0009); directions that an exact refit judges
// (docs/decisions/0016).
enum class Purpose : uint8_t { kMeasuring, kCalibrating, kSearching };

// A multiple of the steps of all kernels that are known.
inline constexpr size_t kAnyRowStep = 192;

struct Context {
  // `enter_thread` is run by the thread that begins a job and by every other thread that takes part
  // in it: it chooses how products are made.
  using Enter = std::function<void(Purpose)>;

  Context(size_t threads, size_t memory_limit, Enter enter_thread = {})
      : enter(std::move(enter_thread)),
        pool(threads,
             [this] {
               if (enter) enter(job_purpose);
             }),
        budget(std::make_shared<MemoryBudget>(memory_limit)) {}

  // Throws ERR_ABORTED once the owner has asked to stop; called between tiles.
  void CheckAbort() const {
    if (abort.load(std::memory_order_relaxed)) throw Error("ERR_ABORTED", "the run was aborted");
  }
  // By the thread that runs a job, which holds the lock.
  void BeginJob(Purpose purpose) {
    budget->KeepStorage();
    job_purpose = purpose;
    if (enter) enter(purpose);
  }
  template <typename T>
  Buffer<T> Allocate(size_t count) {
    return Buffer<T>(budget, count);
  }

  const Enter enter;
  // Rows that the BLAS rounds alike, whatever is beside them: tasks begin at multiples of so many
  // (ops/gemm.h), so that what a row comes to does not depend on the number of threads.
  size_t row_step = kAnyRowStep;
  std::atomic<Purpose> job_purpose{Purpose::kMeasuring};  // of the one that runs
  ThreadPool pool;
  std::shared_ptr<CudaDevice> gpu;        // null: everything runs on the CPU
  const PackedWeights* packed = nullptr;  // of the pass that runs
  std::shared_ptr<MemoryBudget> budget;
  std::atomic<bool> abort{false};
  std::mutex job;  // the pool serves one job at a time
};

}  // namespace struprune
