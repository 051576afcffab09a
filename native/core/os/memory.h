// Memory as the system gives it, and what it says of this process.
#pragma once

#include <cstddef>
#include <cstdint>

namespace struprune::os {

// Zeros in whole pages of their own; from 2 MiB on huge ones, for fewer faults and shorter ways to
// rows far apart, none of them shared with a neighbour: it would outlive the one that is freed
// first. Throws std::bad_alloc.
void* AllocatePages(size_t bytes);
void FreePages(void* data, size_t bytes) noexcept;

// Largest resident size of the process so far, bytes.
uint64_t PeakResident();

// Keeps what is freed from staying with the process: few arenas, and large pieces always straight
// from the system. Without it the C library's heap, which is shared with the host program, keeps
// the largest moment of every thread. Does nothing from the second call on, and where the C library
// has no such settings.
void KeepHeapSmall();

}  // namespace struprune::os
