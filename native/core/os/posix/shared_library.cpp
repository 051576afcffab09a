#include "core/os/shared_library.h"

#include <dlfcn.h>

namespace struprune::os {

void* LoadSharedLibrary(const char* path, std::string* why) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library && why) {
    const char* text = dlerror();
    *why = text ? text : "unknown";
  }
  return library;
}

void* FindSymbol(void* library, const char* name) { return dlsym(library, name); }

std::string VersionedName(const std::string& name, int version) {
#ifdef __APPLE__
  return "lib" + name + "." + std::to_string(version) + ".dylib";
#else
  return "lib" + name + ".so." + std::to_string(version);
#endif
}

}  // namespace struprune::os
