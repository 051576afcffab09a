// What calls will take, asked before any of them runs (lib/engine/native-needs.ts).
#pragma once

#include <napi.h>

namespace struprune::addon {

void InitNeeds(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
