// A lock on an open file. It ends with the file: the system lets go of it when a process ends in
// any way.
#pragma once

namespace struprune::os {

enum class FileLock {
  kTaken,
  // Another opening of the file has it.
  kHeld,
  // The file system has no locks.
  kUnknown,
};

// Locks an open file of Node's, by its descriptor, against every other opening of it, by this
// process or another one; on other machines too, where the file system passes locks on. Does not
// wait, and keeps nobody from reading.
FileLock TryLock(int descriptor);

}  // namespace struprune::os
