# struprune_tests, where GoogleTest is installed.
find_package(GTest QUIET)
if(GTest_FOUND AND test_sources)
  add_executable(struprune_tests EXCLUDE_FROM_ALL ${test_sources})
  target_link_libraries(struprune_tests PRIVATE struprune_core GTest::gtest GTest::gtest_main)
  message(STATUS "GoogleTest: found")
else()
  message(STATUS "GoogleTest: not found, no native tests (Debian: apt-get install libgtest-dev)")
endif()
