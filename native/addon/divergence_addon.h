#pragma once

#include <napi.h>

namespace struprune::addon {

// How far next-token distributions are from others; lib/engine/native-divergence.ts has the types.
void InitDivergence(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
