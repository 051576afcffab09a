#include "core/os/shared_library.h"

#include "core/os/windows/calls.h"

namespace struprune::os {

void* LoadSharedLibrary(const char* path, std::string* why) {
  HMODULE library = LoadLibraryW(Wide(path).c_str());
  if (!library && why) *why = std::system_category().message(static_cast<int>(GetLastError()));
  return reinterpret_cast<void*>(library);
}

void* FindSymbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}

std::string VersionedName(const std::string& name, int version) {
  return name + "-" + std::to_string(version) + ".dll";
}

}  // namespace struprune::os
