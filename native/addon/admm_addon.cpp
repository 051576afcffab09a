// The steps of ADMM on one site's problem.
#include <utility>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "solver/admm.h"

namespace struprune::addon {
namespace {

std::shared_ptr<AdmmState> AdmmOf(const Napi::CallbackInfo& info) {
  return GetHandle<AdmmState>(info[0], "admm");
}

// A job of the problem's engine.
template <typename Step>
Napi::Value RunStep(const Napi::CallbackInfo& info, std::shared_ptr<AdmmState> state, Step step) {
  const auto context = state->site().space().context;
  return RunOn(info.Env(), context,
               [state = std::move(state), step = std::move(step)] { step(*state); });
}

// (admm) -> {lambda, ridgeRaised}
Napi::Value ReadAdmm(const Napi::CallbackInfo& info) {
  const auto state = AdmmOf(info);
  Napi::Object result = Napi::Object::New(info.Env());
  SetRidge(result, state->lambda(), state->ridge_raised());
  return result;
}

// (admm, rho) -> Promise
Napi::Value SetRho(const Napi::CallbackInfo& info) {
  const double rho = GetNumber(info[1], "rho");
  return RunStep(info, AdmmOf(info), [rho](AdmmState& state) { state.SetRho(rho); });
}

// (admm) -> Promise
Napi::Value SolveAdmm(const Napi::CallbackInfo& info) {
  return RunStep(info, AdmmOf(info), [](AdmmState& state) { state.Solve(); });
}

// (admm, mask) -> Promise
Napi::Value ProjectAdmm(const Napi::CallbackInfo& info) {
  return RunStep(info, AdmmOf(info),
                 [keep = GetMask(info[1])](AdmmState& state) { state.Project(keep); });
}

// (admm) -> Promise<Float64Array[groups]>
Napi::Value GroupEnergies(const Napi::CallbackInfo& info) {
  const auto state = AdmmOf(info);
  return ComputeOn(
      info.Env(), state->site().space().context, [state] { return state->GroupEnergies(); },
      Doubles);
}

// (admm) -> Promise<{primal, dual, weightNorm, targetNorm, dualNorm}>
Napi::Value UpdateDual(const Napi::CallbackInfo& info) {
  const auto state = AdmmOf(info);
  return ComputeOn(
      info.Env(), state->site().space().context, [state] { return state->UpdateDual(); },
      [](Napi::Env env, const AdmmState::Residuals& residuals) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("primal", residuals.primal);
        object.Set("dual", residuals.dual);
        object.Set("weightNorm", residuals.weight_norm);
        object.Set("targetNorm", residuals.target_norm);
        object.Set("dualNorm", residuals.dual_norm);
        return object;
      });
}

}  // namespace

void InitAdmm(Napi::Env env, Napi::Object exports) {
  Export<ReadAdmm>(env, exports, "readAdmm");
  Export<SetRho>(env, exports, "admmSetRho");
  Export<SolveAdmm>(env, exports, "admmSolve");
  Export<ProjectAdmm>(env, exports, "admmProject");
  Export<GroupEnergies>(env, exports, "admmGroupEnergies");
  Export<UpdateDual>(env, exports, "admmUpdateDual");
}

}  // namespace struprune::addon
