#pragma once

#include <napi.h>

namespace struprune::addon {

// headGradient and backwardBlock; lib/engine/native-backward.ts has their types.
void InitBackward(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
