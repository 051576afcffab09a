# macOS on `processor`, which zig calls `zig_processor`. PyPI: ziglang, clang with a linker for Mach-O and lists of what macOS' own
# libraries hold.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR ${processor})
set(CMAKE_C_COMPILER "$ENV{STRUPRUNE_ZIG}" cc -target ${zig_processor}-macos.13.0)
set(CMAKE_CXX_COMPILER "$ENV{STRUPRUNE_ZIG}" c++ -target ${zig_processor}-macos.13.0)
# Its linker reads the archives of its own ar.
set(CMAKE_CXX_ARCHIVE_CREATE "\"$ENV{STRUPRUNE_ZIG}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"$ENV{STRUPRUNE_ZIG}\" ranlib <TARGET>")
