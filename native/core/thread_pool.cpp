#include "core/thread_pool.h"

#include <string>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace struprune {

ThreadPool::ThreadPool(size_t threads, std::function<void()> enter) : enter_(std::move(enter)) {
  try {
    for (size_t worker = 1; worker < threads; ++worker) {
      workers_.emplace_back([this, worker] { Work(worker); });
    }
  } catch (const std::system_error& error) {
    const size_t made = size();
    Stop();
    throw Error("ERR_ARGUMENT",
                "the system gave " + std::to_string(made) + " of " + std::to_string(threads) +
                    " threads: " + error.what(),
                "give fewer --threads");
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : workers_) thread.join();
}

void ThreadPool::ParallelFor(size_t count, const std::function<void(size_t, size_t)>& task) {
  if (count == 0) return;
  {
    std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    next_ = 0;
    failure_ = nullptr;
    active_ = workers_.size() + 1;
    ++generation_;
  }
  wake_.notify_all();
  Drain(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return active_ == 0; });
  task_ = nullptr;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::Work(size_t worker) {
  size_t seen = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
    }
    if (enter_) enter_();
    Drain(worker);
  }
}

void ThreadPool::Drain(size_t worker) {
  while (true) {
    size_t index;
    const std::function<void(size_t, size_t)>* task;
    {
      std::lock_guard lock(mutex_);
      if (next_ >= count_ || failure_) {
        if (--active_ == 0) done_.notify_all();
        return;
      }
      index = next_++;
      task = task_;
    }
    try {
      (*task)(index, worker);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }
}

}  // namespace struprune
