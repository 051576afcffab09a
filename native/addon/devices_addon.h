// What the machine and the build offer: processor features and GEMM paths.
#pragma once

#include <napi.h>

namespace struprune::addon {

void InitDevices(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
