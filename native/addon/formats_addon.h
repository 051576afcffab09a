// Headers of checkpoint files for JavaScript.
#pragma once

#include <napi.h>

namespace struprune::addon {

// Adds parseSafetensors(path) and parseGguf(path); lib/checkpoint/container.ts has their types.
void InitFormats(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
