#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/context.h"
#include "core/row_chunks.h"

namespace struprune {
namespace {

// For tasks after one that stops them: the system may hold that one for as long as a thousand
// others take that do nothing.
void Linger() { std::this_thread::sleep_for(std::chrono::microseconds(100)); }

class ThreadPoolTest : public testing::TestWithParam<size_t> {};

TEST_P(ThreadPoolTest, EveryIndexRunsOnceOnAWorkerOfThePool) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.size(), GetParam());
  // Plain ints: ThreadSanitizer sees it when two workers get the same index, or when the caller
  // reads before a worker has finished.
  for (size_t count : {size_t{0}, size_t{1}, size_t{7}, size_t{1000}}) {
    std::vector<int> runs(count, 0);
    std::atomic<bool> outside{false};
    pool.ParallelFor(count, [&](size_t index, size_t worker) {
      ++runs[index];
      if (worker >= pool.size()) outside = true;
    });
    EXPECT_EQ(runs, std::vector<int>(count, 1));
    EXPECT_FALSE(outside);
  }
}

TEST_P(ThreadPoolTest, AWorkersScratchIsItsOwn) {
  ThreadPool pool(GetParam());
  std::vector<size_t> sums(pool.size(), 0);
  for (int round = 0; round < 50; ++round) {
    pool.ParallelFor(64, [&](size_t index, size_t worker) { sums[worker] += index; });
  }
  size_t total = 0;
  for (size_t sum : sums) total += sum;
  EXPECT_EQ(total, 50u * (63 * 64 / 2));
}

TEST_P(ThreadPoolTest, AnExceptionReachesTheCallerAndThePoolGoesOn) {
  ThreadPool pool(GetParam());
  std::atomic<size_t> started{0};
  const auto fail = [&](size_t index, size_t) {
    ++started;
    if (index == 3) throw std::runtime_error("task 3");
    if (index > 3) Linger();
  };
  EXPECT_THROW(pool.ParallelFor(100000, fail), std::runtime_error);
  EXPECT_LT(started, 100000u) << "the tasks after the failure must not all run";
  size_t runs = 0;
  std::mutex mutex;
  pool.ParallelFor(10, [&](size_t, size_t) {
    std::lock_guard lock(mutex);
    ++runs;
  });
  EXPECT_EQ(runs, 10u);
}

TEST_P(ThreadPoolTest, AbortIsSeenByTheTasks) {
  Context context(GetParam(), 0);
  std::atomic<size_t> finished{0};
  const auto task = [&](size_t index, size_t) {
    if (index == 5) context.abort = true;
    context.CheckAbort();
    if (index > 5) Linger();
    ++finished;
  };
  try {
    context.pool.ParallelFor(100000, task);
    FAIL() << "an aborted run must not return";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "ERR_ABORTED");
  }
  EXPECT_LT(finished, 100000u);
}

// Tasks begin at steps of the BLAS, take every row once and no more than a buffer has, and with
// AVX-512 the last one of whole windows is not small.
TEST_P(ThreadPoolTest, RowsAreCutAtSteps) {
  for (const size_t step : {size_t{24}, size_t{64}, kAnyRowStep}) {
    Context context(GetParam(), 0);
    context.row_step = step;
    size_t before = 0;
    for (size_t rows = 1; rows <= 8192; rows += rows < 256 ? 1 : 256 - rows % 256) {
      const size_t chunk = ChunkRows(context, rows);
      EXPECT_GE(chunk, before);
      before = chunk;
      std::mutex mutex;
      std::vector<size_t> taken(rows, 0);
      ForChunks(context, rows, [&](size_t first, size_t count, size_t) {
        std::lock_guard lock(mutex);
        EXPECT_EQ(first % step, 0u);
        EXPECT_LE(count, chunk);
        if (step == 64 && rows >= 256) {
          EXPECT_GE(count, size_t{128}) << rows;
        }
        for (size_t row = first; row < first + count; ++row) ++taken[row];
      });
      EXPECT_EQ(taken, std::vector<size_t>(rows, 1));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 4, 9));

}  // namespace
}  // namespace struprune
