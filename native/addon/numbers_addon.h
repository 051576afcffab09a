#pragma once

#include <napi.h>

namespace struprune::addon {

void InitNumbers(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
