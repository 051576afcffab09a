#pragma once

#include <napi.h>

namespace struprune::addon {

// Engine, files, matrices, statistics, blocks, embedding and head.
void InitEngine(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
