// Everything that the addon offers to JavaScript; lib/engine/native has the types.
#include "addon/addon.h"

#include "addon/handles.h"
#include "addon/jobs.h"

namespace struprune::addon {
namespace {

// (handle): frees the object
Napi::Value Release(const Napi::CallbackInfo& info) {
  GetHandleBase(info[0], "handle").Release();
  return info.Env().Undefined();
}

// (handle) -> Promise: the same with the memory given back on another thread: that of a gigabyte of
// pages takes a tenth of a second.
Napi::Value Free(const Napi::CallbackInfo& info) {
  const auto held =
      std::make_shared<std::shared_ptr<void>>(GetHandleBase(info[0], "handle").Take());
  return RunAsync(info.Env(), [held] { held->reset(); }, Nothing);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  Export<Release>(env, exports, "release");
  Export<Free>(env, exports, "free");
  InitProcess(env, exports);
  InitDevices(env, exports);
  InitNumbers(env, exports);
  InitFiles(env, exports);
  InitEngine(env, exports);
  InitTeam(env, exports);
  InitNeeds(env, exports);
  InitStore(env, exports);
  InitMatrix(env, exports);
  InitStatistics(env, exports);
  InitBlock(env, exports);
  InitEnds(env, exports);
  InitSolver(env, exports);
  InitRefit(env, exports);
  InitAdmm(env, exports);
  InitGaussNewton(env, exports);
  InitAuxiliary(env, exports);
  InitBench(env, exports);
  return exports;
}

}  // namespace

}  // namespace struprune::addon

using struprune::addon::Init;

NODE_API_MODULE(struprune, Init)
