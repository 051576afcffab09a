// A lock on an open file. It ends with the file: the system lets go of it when a process ends in
// any way.
#pragma once

namespace struprune {

enum class FileLock {
  kTaken,
  // Another opening of the file has it.
  kHeld,
  // The file system has no locks.
  kUnknown,
};

// Locks an open file against every other opening of it, by this process or another one; on other
// machines too, where the file system passes locks on. Does not wait.
FileLock TryLock(int descriptor);

}  // namespace struprune
