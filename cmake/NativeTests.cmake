# struprune_tests, where GoogleTest is installed.
find_package(GTest QUIET)
if(GTest_FOUND AND test_sources)
  if(STRUPRUNE_SANITIZE STREQUAL "thread")
    # The files of scripts/test-sanitizers.js's filter and what they share. Emulated kernels run on one thread.
    set(threaded block_pages ffn_solver page_store paged_matrix solver_limits solver_sweep thread_pool tiles)
    list(TRANSFORM threaded APPEND "_test")
    list(APPEND threaded reference_block solver_support tile_support)
    list(JOIN threaded "|" threaded)
    list(FILTER test_sources INCLUDE REGEX "/(${threaded})\\.cpp$")
  endif()
  add_executable(struprune_tests EXCLUDE_FROM_ALL ${test_sources})
  # Their own code takes longer than their headers, which are precompiled.
  set_property(TARGET struprune_tests PROPERTY UNITY_BUILD OFF)
  target_link_libraries(struprune_tests PRIVATE struprune_core GTest::gtest GTest::gtest_main)
  # The tests' own code is quick to compile rather than quick: it is half of the build, and much more of it under
  # sanitizers.
  if(STRUPRUNE_SANITIZE)
    target_compile_options(struprune_tests PRIVATE -O0)
    # What most of them compute with.
    set_source_files_properties(
      native/test/reference_block.cpp native/test/solver_support.cpp native/test/tile_support.cpp
      PROPERTIES COMPILE_OPTIONS -O1 SKIP_PRECOMPILE_HEADERS ON)
  else()
    target_compile_options(struprune_tests PRIVATE -O1)
  endif()
  target_precompile_headers(
    struprune_tests PRIVATE <gtest/gtest.h> <algorithm> <cmath> <memory> <string> <vector>)
  if(NOT STRUPRUNE_SANITIZE STREQUAL "thread")
    # Kernels and the site driver run there on the host emulation.
    add_dependencies(struprune_tests struprune_emulated)
    target_compile_definitions(
      struprune_tests PRIVATE "STRUPRUNE_EMULATED_LIBRARY=\"$<TARGET_FILE:struprune_emulated>\"")
  endif()
  message(STATUS "GoogleTest: found")
else()
  message(STATUS "GoogleTest: not found, no native tests (Debian: apt-get install libgtest-dev)")
endif()

# The tests of the CUDA library once more, for the real one: a program that needs no Node.
if(GTest_FOUND AND STRUPRUNE_CUDA)
  file(GLOB selftest_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/selftest/*.cpp"
       "${CMAKE_CURRENT_SOURCE_DIR}/native/test/gpu_*.cpp")
  add_executable(struprune_selftest EXCLUDE_FROM_ALL ${selftest_sources}
                                    "${CMAKE_CURRENT_SOURCE_DIR}/native/test/reference_block.cpp")
  set_property(TARGET struprune_selftest PROPERTY UNITY_BUILD OFF)
  target_include_directories(struprune_selftest PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native/test")
  target_link_libraries(struprune_selftest PRIVATE struprune_core GTest::gtest)
  target_compile_options(struprune_selftest PRIVATE -O1)
  target_link_options(struprune_selftest PRIVATE -static-libstdc++ -static-libgcc)
  set_target_properties(
    struprune_selftest
    PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${STRUPRUNE_OUTPUT}"
               BUILD_WITH_INSTALL_RPATH ON
               INSTALL_RPATH "$ORIGIN")
endif()
