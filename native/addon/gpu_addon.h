// NVIDIA GPUs: the probe, and attaching one to an engine.
#pragma once

#include <napi.h>

namespace struprune::addon {

void InitGpu(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
