// A fixed set of worker threads. BLAS runs single-threaded inside the tasks, so that parallelism,
// and with it the split of every sum, is decided here alone.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace struprune {

class ThreadPool {
 public:
  // threads >= 1; the calling thread is one of them. The others run `enter` at the beginning of
  // every ParallelFor. Throws ERR_ARGUMENT where the system gives no more.
  explicit ThreadPool(size_t threads, std::function<void()> enter = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t size() const { return workers_.size() + 1; }

  // Runs task(index, worker) for index in [0, count), worker in [0, size()); returns when all are
  // done. The first exception of a task is rethrown here, after the others have stopped. One caller
  // at a time.
  void ParallelFor(size_t count, const std::function<void(size_t index, size_t worker)>& task);

 private:
  void Stop();
  void Work(size_t worker);
  void Drain(size_t worker);

  const std::function<void()> enter_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  const std::function<void(size_t, size_t)>* task_ = nullptr;
  size_t count_ = 0;
  size_t next_ = 0;
  size_t active_ = 0;
  size_t generation_ = 0;
  bool stop_ = false;
  std::exception_ptr failure_;
};

}  // namespace struprune
