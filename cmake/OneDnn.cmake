# struprune_onednn: oneDNN v3 for GNU OpenMP, from the wheels unpacked in .deps/onednn or from the system.
if(STRUPRUNE_ONEDNN)
  if(NOT EXISTS "${STRUPRUNE_DEPS}/onednn" AND "$ENV{DNNLROOT}" STREQUAL "")
    struprune_fetch()
  endif()
  find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.hpp PATHS "${STRUPRUNE_DEPS}/onednn/include" "$ENV{DNNLROOT}/include"
            NO_DEFAULT_PATH)
  find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.hpp)
  find_library(DNNL_LIBRARY NAMES libdnnl.so.3 PATHS "${STRUPRUNE_DEPS}/onednn/lib" "$ENV{DNNLROOT}/lib"
               NO_DEFAULT_PATH)
  find_library(DNNL_LIBRARY NAMES libdnnl.so.3)
  struprune_require(DNNL_INCLUDE "oneDNN's headers" "set DNNLROOT, or: rm -r .deps/onednn")
  struprune_require(DNNL_LIBRARY "oneDNN v3 (libdnnl.so.3)" "set DNNLROOT, or: rm -r .deps/onednn")
  # Its own threads are switched off call by call, which needs the OpenMP runtime that it links.
  find_library(GOMP_LIBRARY NAMES gomp libgomp.so.1 PATHS ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES})
  struprune_require(GOMP_LIBRARY "libgomp" "install it (Debian: apt-get install libgomp1)")

  add_library(struprune_onednn INTERFACE)
  target_include_directories(struprune_onednn SYSTEM INTERFACE "${DNNL_INCLUDE}")
  target_link_libraries(struprune_onednn INTERFACE "${DNNL_LIBRARY}" "${GOMP_LIBRARY}")
  target_compile_definitions(struprune_onednn INTERFACE STRUPRUNE_ONEDNN)
  list(APPEND struprune_blas_siblings "${DNNL_LIBRARY}")
  message(STATUS "oneDNN: ${DNNL_LIBRARY}")
endif()
