#pragma once

#include <napi.h>

namespace struprune::addon {

// createSolver and setOutput; lib/engine/native.ts has their types.
void InitSite(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
