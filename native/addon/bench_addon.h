#pragma once

#include <napi.h>

namespace struprune::addon {

// What benchmarks ask beside the main path; lib/engine/native-bench.ts has the types.
void InitBench(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
