// Gauss-Newton on an FFN's input weights.
#include "addon/addon.h"
#include "addon/ffn_arguments.h"
#include "addon/refit_addon.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "solver/gauss_newton.h"

namespace struprune::addon {
namespace {

std::shared_ptr<GaussNewton> GaussNewtonOf(const Napi::CallbackInfo& info) {
  return GetHandle<GaussNewton>(info[0], "solver");
}

// (solver, block, site, refit, tokens, offset, purpose) -> Promise<relative error over those
// tokens>
Napi::Value Linearise(const Napi::CallbackInfo& info) {
  const auto solver = GaussNewtonOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetFfn(*block, info[2]);
  const auto refit = GetRefit(info[3]);
  const size_t tokens = GetSize(info[4], "tokens"), offset = GetSize(info[5], "offset");
  return ComputeOn(
      info.Env(), block->shared_context(),
      [=, block = block] { return solver->Linearise(MapOf(layer, refit.get()), tokens, offset); },
      Number, GetPurpose(info[6]));
}

// (solver, last, purpose) -> Promise<{slope, curvature}>
Napi::Value NextDirection(const Napi::CallbackInfo& info) {
  const auto solver = GaussNewtonOf(info);
  const bool last = GetBool(info[1], "last");
  return ComputeOn(
      info.Env(), solver->space().context, [=] { return solver->NextDirection(last); },
      [](Napi::Env env, const Direction& line) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("slope", line.slope);
        object.Set("curvature", line.curvature);
        return object;
      },
      GetPurpose(info[2]));
}

// (solver, step) -> Promise
Napi::Value AdvanceAlong(const Napi::CallbackInfo& info) {
  const auto solver = GaussNewtonOf(info);
  const double step = GetNumber(info[1], "step");
  return RunOn(info.Env(), solver->space().context, [=] { solver->Advance(step); });
}

}  // namespace

void InitGaussNewton(Napi::Env env, Napi::Object exports) {
  Export<CreateFfnSolver<GaussNewton>>(env, exports, "createGaussNewton");
  Export<Linearise>(env, exports, "linearise");
  Export<NextDirection>(env, exports, "nextDirection");
  Export<AdvanceAlong>(env, exports, "advanceAlong");
  Export<MoveInputs<GaussNewton>>(env, exports, "moveAlong");
}

}  // namespace struprune::addon
