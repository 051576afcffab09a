# Compiler and sanitizer flags of our own sources, on the interface target struprune_options.
add_library(struprune_options INTERFACE)
target_compile_options(
  struprune_options
  INTERFACE
    -Wall -Wextra -Werror
    # Results must not depend on errno or traps; these two let loops vectorise without changing a sum.
    -fno-math-errno -fno-trapping-math
    -fopenmp-simd
    -fvisibility=hidden
    # So that the linker can leave out what nothing calls.
    -ffunction-sections -fdata-sections
    # clang refuses to build where a loop under `omp simd` is not vectorised.
    $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Wno-pass-failed>
    # GCC 12 sees an overlap in every `"text" + std::string` (GCC bug 105651).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")

if(STRUPRUNE_SANITIZE)
  # Everything is instrumented, simdjson too: a report must not stop at a library's edge.
  add_compile_options(
    "-fsanitize=${STRUPRUNE_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options("-fsanitize=${STRUPRUNE_SANITIZE}")
  add_compile_definitions(STRUPRUNE_SANITIZED)
  # -O1 takes twice as long to compile.
  set(CMAKE_CXX_FLAGS_RELEASE "-Og")
  set(CMAKE_C_FLAGS_RELEASE "-Og")
endif()
