#include "core/os/file_lock.h"

#include <sys/file.h>

#include <cerrno>

namespace struprune::os {

FileLock TryLock(int descriptor) {
  while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return FileLock::kHeld;
    if (errno != EINTR) return FileLock::kUnknown;
  }
  return FileLock::kTaken;
}

}  // namespace struprune::os
