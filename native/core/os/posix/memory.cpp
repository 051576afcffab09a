#include "core/os/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <mutex>
#include <new>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace struprune::os {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t WholePages(size_t bytes) {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

void* AllocatePages(size_t bytes) {
  const size_t spare = bytes >= kHugePage ? kHugePage : 0, whole = WholePages(bytes);
  void* mapped =
      mmap(nullptr, whole + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  if (spare == 0) return mapped;
  auto* const from = static_cast<std::byte*>(mapped);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(from) % kHugePage) % kHugePage;
  std::byte* const data = from + before;
  if (before > 0) munmap(from, before);
  if (before < spare) munmap(data + whole, spare - before);
#ifdef MADV_HUGEPAGE
  // A system that refuses is no error.
  madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return data;
}

void FreePages(void* data, size_t bytes) noexcept { munmap(data, bytes); }

uint64_t PeakResident() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  constexpr uint64_t kUnit = 1;
#else
  constexpr uint64_t kUnit = 1024;
#endif
  return static_cast<uint64_t>(usage.ru_maxrss) * kUnit;
}

void KeepHeapSmall() {
#ifdef __GLIBC__
  static std::once_flag once;
  std::call_once(once, [] {
    mallopt(M_ARENA_MAX, 2);
    // Both would else grow with what is freed, up to 32 MiB.
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
  });
#endif
}

}  // namespace struprune::os
