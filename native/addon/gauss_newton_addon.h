#pragma once

#include <napi.h>

namespace struprune::addon {

// Gauss-Newton on a block's FFN; lib/engine/native-gauss-newton.ts has the types.
void InitGaussNewton(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
