// Everything that the addon offers to JavaScript; lib/engine/native.ts has the types.
#include <napi.h>

#include "addon/backward_addon.h"
#include "addon/bench_addon.h"
#include "addon/devices_addon.h"
#include "addon/divergence_addon.h"
#include "addon/engine_addon.h"
#include "addon/ffn_addon.h"
#include "addon/formats_addon.h"
#include "addon/gpu_addon.h"
#include "addon/needs_addon.h"
#include "addon/numbers_addon.h"
#include "addon/site_addon.h"
#include "addon/solver_addon.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  struprune::addon::InitEngine(env, exports);
  struprune::addon::InitFormats(env, exports);
  struprune::addon::InitSolver(env, exports);
  struprune::addon::InitSite(env, exports);
  struprune::addon::InitFfn(env, exports);
  struprune::addon::InitBackward(env, exports);
  struprune::addon::InitDevices(env, exports);
  struprune::addon::InitBench(env, exports);
  struprune::addon::InitDivergence(env, exports);
  struprune::addon::InitGpu(env, exports);
  struprune::addon::InitNeeds(env, exports);
  struprune::addon::InitNumbers(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(struprune, Init)
