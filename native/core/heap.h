// The C library's heap, which is shared with the host program.
#pragma once

namespace struprune {

// Keeps what is freed from staying with the process: few arenas, and large pieces always straight
// from the system. Without it the heap of every thread keeps its largest moment. Does nothing from
// the second call on, and where the C library has no such settings.
void KeepHeapSmall();

}  // namespace struprune
