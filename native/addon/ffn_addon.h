#pragma once

#include <napi.h>

namespace struprune::addon {

// The solvers of an FFN's input weights; lib/engine/native-ffn.ts has the types.
void InitFfn(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
