# simdjson's two amalgamated files from npm; third-party code is not held to our warnings.
set(simdjson_folder "${CMAKE_CURRENT_SOURCE_DIR}/node_modules/@nozbe/simdjson/src")
if(NOT EXISTS "${simdjson_folder}/simdjson.cpp")
  message(FATAL_ERROR "${simdjson_folder}/simdjson.cpp not found; run: npm ci")
endif()
add_library(struprune_simdjson STATIC "${simdjson_folder}/simdjson.cpp")
target_include_directories(struprune_simdjson SYSTEM PUBLIC "${simdjson_folder}")
target_compile_options(struprune_simdjson PRIVATE -w -fvisibility=hidden)
if(STRUPRUNE_SANITIZE)
  # One kind of vector kernels of three: instrumented, they take a minute to compile.
  target_compile_definitions(
    struprune_simdjson PRIVATE SIMDJSON_IMPLEMENTATION_ICELAKE=0 SIMDJSON_IMPLEMENTATION_HASWELL=0)
endif()
