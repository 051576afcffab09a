// Node-API comes from the program that loads the addon, which is node.exe in Node alone. An import
// names its program, so there is none: calls go through the pointers that imports would have
// filled, and those are filled here, from whichever program it is.
#include "core/os/windows/calls.h"

extern "C" {

#define HOST_FUNCTION(name) void* __imp_##name = nullptr;
#include <host_functions.inc>
#undef HOST_FUNCTION

BOOL WINAPI DllMain(HINSTANCE, DWORD reason, LPVOID) {
  if (reason != DLL_PROCESS_ATTACH) return TRUE;
  HMODULE host = GetModuleHandleW(nullptr);
  // An older Node has fewer of them than the headers: none of those that are called.
#define HOST_FUNCTION(name) __imp_##name = reinterpret_cast<void*>(GetProcAddress(host, #name));
#include <host_functions.inc>
#undef HOST_FUNCTION
  return TRUE;
}

}  // extern "C"
