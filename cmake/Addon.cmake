# struprune.node and the shared libraries that it needs beside it.
set(node_modules "${CMAKE_CURRENT_SOURCE_DIR}/node_modules")
if(NOT EXISTS "${node_modules}/node-addon-api/napi.h")
  message(FATAL_ERROR "node-addon-api not found; run: npm ci")
endif()

add_library(struprune MODULE ${addon_sources})
set_target_properties(
  struprune
  PROPERTIES PREFIX ""
             SUFFIX ".node"
             LIBRARY_OUTPUT_DIRECTORY "${STRUPRUNE_OUTPUT}"
             BUILD_RPATH "$ORIGIN"
             BUILD_RPATH_USE_ORIGIN ON
             SKIP_BUILD_RPATH OFF
             # Only $ORIGIN: a path of the building machine has no place in a published file.
             BUILD_WITH_INSTALL_RPATH ON
             INSTALL_RPATH "$ORIGIN")
# The headers come from npm, so that any Node will do: Node-API is the same in all of them.
target_include_directories(
  struprune SYSTEM PRIVATE "${node_modules}/node-api-headers/include" "${node_modules}/node-addon-api")
target_compile_definitions(
  struprune
  PRIVATE NAPI_VERSION=8
          NAPI_CPP_EXCEPTIONS
          NODE_ADDON_API_CPP_EXCEPTIONS
          # Electron refuses buffers over memory that V8 did not allocate.
          NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED
          # A worker thread that is being terminated takes no exceptions: they end there, and not the process.
          NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
          BUILDING_NODE_EXTENSION)
target_link_libraries(struprune PRIVATE struprune_core)
# Node finds two functions; all else, libstdc++'s templates too, stays inside.
set(export_map "${CMAKE_CURRENT_SOURCE_DIR}/cmake/addon.map")
set(own_of_addon "${CMAKE_CURRENT_SOURCE_DIR}/native/core/os/addon")
if(WIN32)
  # What is marked for export is all that goes out. The C++ runtime comes along.
  target_link_options(struprune PRIVATE -static -Wl,--gc-sections)
  file(STRINGS "${node_modules}/node-api-headers/def/node_api.def" host_names REGEX "^(napi|node_api)_")
  list(TRANSFORM host_names REPLACE "(.+)" "HOST_FUNCTION(\\1)\n")
  list(JOIN host_names "" host_functions)
  file(CONFIGURE OUTPUT host/host_functions.inc CONTENT "${host_functions}" @ONLY)
  target_sources(struprune PRIVATE "${own_of_addon}/windows_host.cpp")
  target_include_directories(struprune PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/host")
elseif(APPLE)
  if(CMAKE_CROSSCOMPILING)
    # zig's linker makes no bundles. Node opens a shared library as well.
    set(CMAKE_SHARED_MODULE_CREATE_CXX_FLAGS "-dynamiclib -Wl,-install_name,@rpath/struprune.node")
    target_link_options(struprune PRIVATE -s)
  endif()
  target_link_options(struprune PRIVATE -undefined dynamic_lookup -Wl,-dead_strip)
else()
  target_link_options(struprune PRIVATE "-Wl,--version-script=${export_map}")
endif()
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(CheckSymbolExists)
  check_symbol_exists(__GLIBC__ features.h STRUPRUNE_GLIBC)
  # The C++ runtime comes along, and of glibc only what 2.28 has is asked for (native/core/os/addon/glibc_pins.cpp). Not libgcc:
  # Node itself needs its shared library, and the static one asks for newer symbols.
  target_link_options(struprune PRIVATE -static-libstdc++ -Wl,--gc-sections)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64)$" AND STRUPRUNE_GLIBC)
    target_sources(struprune PRIVATE "${own_of_addon}/glibc_pins.cpp")
    foreach(
      name
      log exp pow dlopen dlsym dlerror fstat fstat64 arc4random pthread_create pthread_join pthread_detach pthread_once
      pthread_key_create pthread_key_delete pthread_getspecific pthread_setspecific)
      target_link_options(struprune PRIVATE "-Wl,--wrap=${name}")
    endforeach()
  endif()
endif()
set_property(TARGET struprune APPEND PROPERTY LINK_DEPENDS "${export_map}")

# A build that did not come from scripts/compile.js must not pass for one of its own.
add_custom_command(
  TARGET struprune POST_BUILD COMMAND "${CMAKE_COMMAND}" -E rm -f "${STRUPRUNE_OUTPUT}/.stamp")
foreach(sibling ${struprune_blas_siblings})
  get_filename_component(name "${sibling}" NAME)
  add_custom_command(
    TARGET struprune
    POST_BUILD
    COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${sibling}" "${STRUPRUNE_OUTPUT}/${name}")
endforeach()
