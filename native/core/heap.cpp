#include "core/heap.h"

#include <cstdlib>  // says whether this is glibc
#include <mutex>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace struprune {

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

}  // namespace struprune
