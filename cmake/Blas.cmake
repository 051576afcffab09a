# struprune_blas: headers, libraries and the macro that native/ops/blas.h reads.
# struprune_blas_siblings: shared libraries that must lie beside struprune.node.
add_library(struprune_blas INTERFACE)
set(struprune_blas_siblings)

function(struprune_require result what mend)
  if(NOT ${result})
    message(FATAL_ERROR "${what} not found; ${mend}")
  endif()
endfunction()

# Fetches the wheels that the options name, where this CMake was not started by npm run setup.
function(struprune_fetch)
  find_program(NODE_PROGRAM NAMES node nodejs)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env "STRUPRUNE_BLAS=${STRUPRUNE_BLAS}" "STRUPRUNE_ONEDNN=${STRUPRUNE_ONEDNN}"
            "${NODE_PROGRAM}" "${CMAKE_CURRENT_SOURCE_DIR}/scripts/setup.js" --dependencies
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "the native dependencies could not be fetched, see above")
  endif()
endfunction()

if(STRUPRUNE_BLAS STREQUAL "openblas-wheel")
  set(wheel "${STRUPRUNE_DEPS}/scipy-openblas32/scipy_openblas32")
  if(NOT EXISTS "${wheel}")
    struprune_fetch()
  endif()
  find_library(SCIPY_OPENBLAS NAMES scipy_openblas libscipy_openblas.lib PATHS "${wheel}/lib" NO_DEFAULT_PATH)
  struprune_require(SCIPY_OPENBLAS "OpenBLAS (scipy-openblas32 wheel) in ${wheel}" "run: npm run setup")
  target_include_directories(struprune_blas SYSTEM INTERFACE "${wheel}/include")
  target_link_libraries(struprune_blas INTERFACE "${SCIPY_OPENBLAS}")
  target_compile_definitions(struprune_blas INTERFACE STRUPRUNE_BLAS_SCIPY)
  file(GLOB struprune_blas_siblings "${wheel}/lib/*.so*" "${wheel}/lib/*.dll")

elseif(STRUPRUNE_BLAS STREQUAL "openblas")
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(OPENBLAS IMPORTED_TARGET openblas)
  struprune_require(OPENBLAS_FOUND "System OpenBLAS" "install it (Debian: apt-get install libopenblas-dev)")
  target_link_libraries(struprune_blas INTERFACE PkgConfig::OPENBLAS)
  target_compile_definitions(struprune_blas INTERFACE STRUPRUNE_BLAS_OPENBLAS)

elseif(STRUPRUNE_BLAS STREQUAL "system")
  # Any library with the C interface of BLAS and the Fortran one of LAPACK (netlib, ATLAS, BLIS…).
  find_path(CBLAS_INCLUDE cblas.h PATH_SUFFIXES "${CMAKE_LIBRARY_ARCHITECTURE}" openblas)
  find_library(CBLAS_LIBRARY NAMES cblas blas)
  find_package(BLAS)
  find_package(LAPACK)
  struprune_require(CBLAS_INCLUDE "cblas.h" "install BLAS (Debian: apt-get install libblas-dev liblapack-dev)")
  struprune_require(CBLAS_LIBRARY "The C interface of BLAS"
                    "install it (Debian: apt-get install libblas-dev, or libatlas-base-dev)")
  struprune_require(BLAS_FOUND "BLAS" "install it (Debian: apt-get install libblas-dev)")
  struprune_require(LAPACK_FOUND "LAPACK" "install it (Debian: apt-get install liblapack-dev)")
  target_include_directories(struprune_blas SYSTEM INTERFACE "${CBLAS_INCLUDE}")
  target_link_libraries(struprune_blas INTERFACE "${CBLAS_LIBRARY}" LAPACK::LAPACK BLAS::BLAS)
  target_compile_definitions(struprune_blas INTERFACE STRUPRUNE_BLAS_NETLIB)

elseif(STRUPRUNE_BLAS STREQUAL "mkl")
  # A oneAPI installation (MKLROOT), or the wheels mkl-include and mkl-static unpacked in .deps/mkl.
  if(NOT EXISTS "${STRUPRUNE_DEPS}/mkl" AND "$ENV{MKLROOT}" STREQUAL "")
    struprune_fetch()
  endif()
  set(mkl_roots "$ENV{MKLROOT}" "${STRUPRUNE_DEPS}/mkl")
  find_path(MKL_INCLUDE mkl_cblas.h PATHS ${mkl_roots} PATH_SUFFIXES include)
  foreach(part intel_lp64 sequential core)
    find_library(MKL_${part} NAMES "libmkl_${part}.a" PATHS ${mkl_roots} PATH_SUFFIXES lib lib/intel64)
    struprune_require(MKL_${part} "libmkl_${part}.a" "set MKLROOT, or: rm -r .deps/mkl")
  endforeach()
  struprune_require(MKL_INCLUDE "mkl_cblas.h" "set MKLROOT, or: rm -r .deps/mkl")
  target_include_directories(struprune_blas SYSTEM INTERFACE "${MKL_INCLUDE}")
  target_link_libraries(
    struprune_blas
    INTERFACE -Wl,--start-group "${MKL_intel_lp64}" "${MKL_sequential}" "${MKL_core}" -Wl,--end-group
              ${CMAKE_DL_LIBS} m)
  target_compile_definitions(struprune_blas INTERFACE STRUPRUNE_BLAS_MKL)

elseif(STRUPRUNE_BLAS STREQUAL "accelerate")
  # Elsewhere than on macOS a list of the functions that are called stands for Apple's library.
  if(CMAKE_CROSSCOMPILING)
    target_link_libraries(struprune_blas INTERFACE "${CMAKE_CURRENT_SOURCE_DIR}/cmake/cross/Accelerate.tbd")
  else()
    target_link_libraries(struprune_blas INTERFACE "-framework Accelerate")
  endif()
  target_compile_definitions(struprune_blas INTERFACE STRUPRUNE_BLAS_ACCELERATE)

else()
  message(FATAL_ERROR "STRUPRUNE_BLAS=${STRUPRUNE_BLAS}; use openblas-wheel, openblas, system, mkl or accelerate")
endif()
message(STATUS "BLAS: ${STRUPRUNE_BLAS}")
