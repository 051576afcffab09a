#include "core/os/memory.h"

#include <new>

#include "core/os/windows/calls.h"
// After windows.h, whose types it takes. Version 2: no library of its own is linked.
#define PSAPI_VERSION 2
#include <psapi.h>

namespace struprune::os {

// Huge pages need a right that users have not.
void* AllocatePages(size_t bytes) {
  void* data = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (!data) throw std::bad_alloc();
  return data;
}

void FreePages(void* data, size_t) noexcept { VirtualFree(data, 0, MEM_RELEASE); }

uint64_t PeakResident() {
  PROCESS_MEMORY_COUNTERS counters{};
  GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters);
  return counters.PeakWorkingSetSize;
}

void KeepHeapSmall() {}

}  // namespace struprune::os
