#include "core/os/file_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace struprune::os {
namespace {

TEST(FileLockTest, HoldsAgainstEveryOtherOpeningUntilTheFileIsClosed) {
  std::string path = ::testing::TempDir() + "lock-XXXXXX";
  const int first = mkstemp(path.data());
  const int second = open(path.c_str(), O_RDWR);
  ASSERT_GE(first, 0);
  ASSERT_GE(second, 0);
  EXPECT_EQ(TryLock(first), FileLock::kTaken);
  EXPECT_EQ(TryLock(first), FileLock::kTaken);
  EXPECT_EQ(TryLock(second), FileLock::kHeld);
  close(first);
  EXPECT_EQ(TryLock(second), FileLock::kTaken);
  close(second);
  unlink(path.c_str());
}

TEST(FileLockTest, SaysWhenThereIsNone) { EXPECT_EQ(TryLock(-1), FileLock::kUnknown); }

}  // namespace
}  // namespace struprune::os
