// STRUPRUNE_CLONES compiles a function for several instruction sets and picks one at load time. The
// levels are named by features: a clone for "arch=haswell" is chosen on that very Intel model only.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define STRUPRUNE_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define STRUPRUNE_CLONES
#endif

// For small functions in loops that must vectorise, so that a caller compiled for a newer
// instruction set gets its own copy; nvcc compiles them for the GPU too.
#if defined(__CUDACC__)
#define STRUPRUNE_INLINE __host__ __device__ inline
#elif defined(__GNUC__)
#define STRUPRUNE_INLINE [[gnu::always_inline]] inline
#else
#define STRUPRUNE_INLINE inline
#endif
