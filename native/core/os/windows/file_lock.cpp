#include "core/os/file_lock.h"

#include "core/os/windows/calls.h"

namespace struprune::os {
namespace {

// Descriptors are Node's, whose C library is not ours.
HANDLE HandleOf(int descriptor) {
  using Translate = HANDLE (*)(int);
  static const auto translate = reinterpret_cast<Translate>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(nullptr), "uv_get_osfhandle")));
  return translate && descriptor >= 0 ? translate(descriptor) : INVALID_HANDLE_VALUE;
}

}  // namespace

// One byte that no file reaches, since others may not read what is locked.
FileLock TryLock(int descriptor) {
  OVERLAPPED at = At(uint64_t{1} << 62);
  const HANDLE file = HandleOf(descriptor);
  // A second lock by the same opening would wait for the first.
  UnlockFileEx(file, 0, 1, 0, &at);
  if (LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)) {
    return FileLock::kTaken;
  }
  const DWORD error = GetLastError();
  const bool held = error == ERROR_LOCK_VIOLATION || error == ERROR_IO_PENDING;
  return held ? FileLock::kHeld : FileLock::kUnknown;
}

}  // namespace struprune::os
