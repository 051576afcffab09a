// Auxiliary variables on an FFN's input weights.
#include "addon/addon.h"
#include "addon/ffn_arguments.h"
#include "addon/refit_addon.h"
#include "solver/auxiliary.h"

namespace struprune::addon {
namespace {

// (solver, block, site, refit, tokens, offset, purpose) -> Promise
Napi::Value IterateAuxiliary(const Napi::CallbackInfo& info) {
  const auto solver = GetHandle<Auxiliary>(info[0], "solver");
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetFfn(*block, info[2]);
  const auto refit = GetRefit(info[3]);
  const size_t tokens = GetSize(info[4], "tokens"), offset = GetSize(info[5], "offset");
  return RunOn(
      info.Env(), block->shared_context(),
      [=, block = block] { solver->Iterate(MapOf(layer, refit.get()), tokens, offset); },
      GetPurpose(info[6]));
}

}  // namespace

void InitAuxiliary(Napi::Env env, Napi::Object exports) {
  Export<CreateFfnSolver<Auxiliary>>(env, exports, "createAuxiliary");
  Export<IterateAuxiliary>(env, exports, "iterateAuxiliary");
  Export<MoveInputs<Auxiliary>>(env, exports, "moveAuxiliary");
}

}  // namespace struprune::addon
