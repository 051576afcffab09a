// A page store of an engine.
#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/results.h"
#include "core/page_store.h"

namespace struprune::addon {
namespace {

// (engine, scratchFolder | "") -> page store, without a folder in memory alone
Napi::Value CreateStore(const Napi::CallbackInfo& info) {
  return MakeHandle(info.Env(),
                    std::make_shared<PageStore>(EngineOf(info), 0, GetString(info[1], "scratch")));
}

// (store) -> {read, written}: bytes from and to its scratch file
Napi::Value TrafficOf(const Napi::CallbackInfo& info) {
  const PageStore::Traffic traffic = GetHandle<PageStore>(info[0], "store")->traffic();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("read", static_cast<double>(traffic.read_bytes));
  result.Set("written", static_cast<double>(traffic.written_bytes));
  return result;
}

}  // namespace

void InitStore(Napi::Env env, Napi::Object exports) {
  Export<CreateStore>(env, exports, "createStore");
  Export<TrafficOf>(env, exports, "trafficOf");
}

}  // namespace struprune::addon
