#include "core/heap.h"

#include <cstdlib>  // says whether this is glibc
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace struprune {

void KeepHeapSmall() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 2);
  // Both would else grow with what is freed, up to 32 MiB.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
#endif
}

}  // namespace struprune
