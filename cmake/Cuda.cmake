# The CUDA library struprune_cuda.so (STRUPRUNE_CUDA), and its sources over the host emulation, which
# the native tests run on every machine.
file(GLOB cuda_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/cuda/*.cu"
     "${CMAKE_CURRENT_SOURCE_DIR}/native/cuda/*.cpp")
list(APPEND cuda_sources "${CMAKE_CURRENT_SOURCE_DIR}/native/${os_folder}/shared_library.cpp")
set(cuda_includes "${CMAKE_CURRENT_SOURCE_DIR}/native")

if(STRUPRUNE_CUDA)
  set(STRUPRUNE_CUDA_TARGETS "80;86;89;90;100;120" CACHE STRING "Architectures with code of their own")
  list(GET STRUPRUNE_CUDA_TARGETS -1 newest)
  list(TRANSFORM STRUPRUNE_CUDA_TARGETS APPEND "-real" OUTPUT_VARIABLE CMAKE_CUDA_ARCHITECTURES)
  list(APPEND CMAKE_CUDA_ARCHITECTURES "${newest}-virtual")
  # The probe of the compiler needs only one of them.
  enable_language(CUDA)
  # CMake 3.25.1, Debian 12's, does not know that nvcc has C++20 since CUDA 12.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  endif()
  list(JOIN STRUPRUNE_CUDA_TARGETS " " target_text)

  # In halves, as CMake does elsewhere (for CUDA from 3.31 on). The tiled products take nearly as long as either.
  set(parts)
  set(half 0)
  foreach(source ${cuda_sources})
    if(source MATCHES "/gemm_kernels\\.cu$|\\.cpp$")
      list(APPEND parts "${source}")
    else()
      string(APPEND text_${half} "#include \"${source}\"\n")
      math(EXPR half "1 - ${half}")
    endif()
  endforeach()
  foreach(half 0 1)
    set(part "${CMAKE_CURRENT_BINARY_DIR}/cuda/half_${half}.cu")
    file(CONFIGURE OUTPUT "${part}" CONTENT "${text_${half}}" @ONLY)
    list(APPEND parts "${part}")
  endforeach()
  add_library(struprune_cuda MODULE ${parts})
  target_include_directories(struprune_cuda PRIVATE "${cuda_includes}")
  target_include_directories(struprune_cuda SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_compile_definitions(
    struprune_cuda PRIVATE "STRUPRUNE_CUDA_TARGETS=\"${target_text} ptx${newest}\"")
  target_compile_options(
    struprune_cuda
    PRIVATE
      $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr --Werror all-warnings
      -Xcompiler=-Wall,-Wextra,-Werror,-fvisibility=hidden>
      $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Werror -fvisibility=hidden>)
  set_target_properties(
    struprune_cuda
    PROPERTIES PREFIX ""
               UNITY_BUILD OFF
               CUDA_STANDARD 20
               CUDA_STANDARD_REQUIRED ON
               CUDA_EXTENSIONS OFF
               CUDA_RUNTIME_LIBRARY Static
               LIBRARY_OUTPUT_DIRECTORY "${STRUPRUNE_OUTPUT}"
               BUILD_WITH_INSTALL_RPATH ON
               INSTALL_RPATH "$ORIGIN")
  # One symbol goes out; the runtime linked into it stays inside.
  target_link_options(struprune_cuda PRIVATE "-Wl,--exclude-libs,ALL" -static-libstdc++ -static-libgcc)
  message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER_VERSION} for ${target_text} and PTX of ${newest}")
endif()

# Sources as C++ against native/emulation/cuda_runtime.h.
add_library(struprune_emulated SHARED EXCLUDE_FROM_ALL)
file(GLOB emulation_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/emulation/*.cpp")
foreach(source ${cuda_sources})
  # CMake takes a .cu for CUDA: a file of one line stands for it.
  get_filename_component(name "${source}" NAME_WE)
  set(wrapper "${CMAKE_CURRENT_BINARY_DIR}/emulated/${name}.cpp")
  file(CONFIGURE OUTPUT "${wrapper}" CONTENT "#include \"${source}\"\n" @ONLY)
  target_sources(struprune_emulated PRIVATE "${wrapper}")
endforeach()
target_sources(struprune_emulated PRIVATE ${emulation_sources})
target_include_directories(
  struprune_emulated PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native/emulation" "${cuda_includes}")
target_compile_definitions(struprune_emulated PRIVATE "STRUPRUNE_CUDA_TARGETS=\"emulated\"")
# The pragmas are nvcc's.
target_compile_options(struprune_emulated PRIVATE -Wno-unknown-pragmas)
target_link_libraries(struprune_emulated PRIVATE struprune_options struprune_blas ${CMAKE_DL_LIBS})
