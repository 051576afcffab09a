// Shared libraries that are loaded while the program runs. None is unloaded: those of a GPU or a
// BLAS keep threads and exit handlers of their own.
#pragma once

#include <string>

namespace struprune::os {

// Null where it does not load; `why` then has the loader's words.
void* LoadSharedLibrary(const char* path, std::string* why = nullptr);

// Null where the library has no such symbol.
void* FindSymbol(void* library, const char* name);

// The file that a library has at a version of its interface: `libmpi.so.40`.
std::string VersionedName(const std::string& name, int version);

}  // namespace struprune::os
