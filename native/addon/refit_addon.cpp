#include "addon/refit_addon.h"

#include "addon/addon.h"
#include "addon/results.h"
#include "tiles/strips.h"

namespace struprune::addon {
namespace {

// (refit) -> {error, relativeError, fisherLoss: number | null, kept: Int32Array of columns,
// hasBias, lambda, ridgeRaised}
Napi::Value ReadRefit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto refit = GetRefit(info[0]);
  Napi::Object result = Napi::Object::New(env);
  result.Set("error", refit->error);
  result.Set("relativeError", refit->relative_error);
  result.Set("fisherLoss", refit->fisher_loss ? Number(env, *refit->fisher_loss) : env.Null());
  result.Set("kept", Integers(env, refit->kept));
  result.Set("hasBias", !refit->bias.empty());
  SetRidge(result, refit->lambda, refit->ridge_raised);
  return result;
}

// (refit) -> Float32Array[out * kept], a copy
Napi::Value RefitWeight(const Napi::CallbackInfo& info) {
  const auto refit = GetRefit(info[0]);
  const size_t rows = refit->weight.rows().size();
  auto values = Napi::Float32Array::New(info.Env(), rows * refit->weight.cols().size());
  ReadRows(refit->weight, 0, rows, values.Data());
  return values;
}

// (refit) -> Float32Array[out] or null, a copy
Napi::Value RefitBias(const Napi::CallbackInfo& info) {
  const auto refit = GetRefit(info[0]);
  return refit->bias.empty() ? info.Env().Null() : Floats(info.Env(), refit->bias);
}

}  // namespace

void InitRefit(Napi::Env env, Napi::Object exports) {
  Export<ReadRefit>(env, exports, "readRefit");
  Export<RefitWeight>(env, exports, "refitWeight");
  Export<RefitBias>(env, exports, "refitBias");
}

}  // namespace struprune::addon
