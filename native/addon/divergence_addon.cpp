#include "addon/divergence_addon.h"

#include <memory>
#include <vector>

#include "addon/handles.h"
#include "core/paged_matrix.h"
#include "model/compare.h"
#include "passes/divergence.h"

namespace struprune::addon {
namespace {

// A HeadRun with what it points to.
struct HeldHead {
  std::shared_ptr<EndsSpec> ends;
  std::shared_ptr<PagedMatrix> hidden;
  size_t row;

  HeadRun run() const { return {ends.get(), hidden.get(), row}; }
};

HeldHead GetHead(const Napi::Value& value, const char* what) {
  const auto object = GetObject(value, what);
  return {GetHandle<EndsSpec>(object.Get("ends"), "ends"),
          GetHandle<PagedMatrix>(object.Get("hidden"), "hidden"),
          GetSize(object.Get("row"), "row")};
}

// (engine, reference: {ends, hidden, row}, model: {ends, hidden, row}, targets) ->
// Promise<{nll, kl: Float64Array, best, referenceBest: Int32Array}>
Napi::Value Compare(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const HeldHead reference = GetHead(info[1], "reference"), model = GetHead(info[2], "model");
  const auto targets = GetInt32Array(info[3], "targets");
  auto result = std::make_shared<TokenComparison>();
  return RunOn(
      info.Env(), context,
      [=] { *result = CompareTokens(*context, reference.run(), model.run(), targets); },
      [result](Napi::Env env) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("nll", CopyToTyped<double, Napi::Float64Array>(env, result->nll));
        object.Set("kl", CopyToTyped<double, Napi::Float64Array>(env, result->kl));
        object.Set("best", CopyToTyped<int32_t, Napi::Int32Array>(env, result->best));
        object.Set("referenceBest",
                   CopyToTyped<int32_t, Napi::Int32Array>(env, result->reference_best));
        return object;
      });
}

// Runs what gives a number a token. -> Promise<Float64Array[tokens]>
template <typename Work>
Napi::Value RunForTokens(Napi::Env env, const std::shared_ptr<Context>& context, Work work) {
  auto result = std::make_shared<std::vector<double>>();
  return RunOn(
      env, context, [=] { *result = work(); },
      [result](Napi::Env env) -> Napi::Value {
        return CopyToTyped<double, Napi::Float64Array>(env, *result);
      });
}

// (engine, ends, hidden, mean) -> Promise<Float64Array[tokens]>
Napi::Value ExpectHeadOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto ends = GetHandle<EndsSpec>(info[1], "ends");
  const auto hidden = GetHandle<PagedMatrix>(info[2], "hidden");
  const auto mean = GetHandle<PagedMatrix>(info[3], "mean");
  return RunForTokens(info.Env(), context,
                      [=] { return ExpectHead(*context, *ends, *hidden, *mean); });
}

// (engine, ends, {mean, negativeEntropy}, hidden) -> Promise<Float64Array[tokens]>
Napi::Value DivergenceFromOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto ends = GetHandle<EndsSpec>(info[1], "ends");
  const auto reference = GetObject(info[2], "reference");
  const auto mean = GetHandle<PagedMatrix>(reference.Get("mean"), "mean");
  const auto array = GetFloat64Array(reference.Get("negativeEntropy"), "negativeEntropy");
  const std::vector<double> entropy(array.Data(), array.Data() + array.ElementLength());
  const auto hidden = GetHandle<PagedMatrix>(info[3], "hidden");
  return RunForTokens(info.Env(), context,
                      [=] { return DivergenceFrom(*context, *ends, *mean, entropy, *hidden); });
}

}  // namespace

void InitDivergence(Napi::Env env, Napi::Object exports) {
  Export<Compare>(env, exports, "compare");
  Export<ExpectHeadOf>(env, exports, "expectHead");
  Export<DivergenceFromOf>(env, exports, "divergenceFrom");
}

}  // namespace struprune::addon
