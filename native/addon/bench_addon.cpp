#include "addon/bench_addon.h"

#include <memory>

#include "addon/handles.h"
#include "core/paged_matrix.h"
#include "model/compare.h"

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
  const auto context = GetHandle<Context>(info[0], "engine");
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

}  // namespace

void InitBench(Napi::Env env, Napi::Object exports) { Export<Compare>(env, exports, "compare"); }

}  // namespace struprune::addon
