#include "addon/backward_addon.h"

#include <memory>
#include <string>

#include "addon/handles.h"
#include "model/backward.h"
#include "model/head_gradient.h"

namespace struprune::addon {
namespace {

Labels GetLabels(const Napi::Value& value) {
  const std::string name = GetString(value, "labels");
  if (name == "empirical") return Labels::kEmpirical;
  if (name == "sampled") return Labels::kSampled;
  throw BadArgument("labels must be 'empirical' or 'sampled'");
}

std::shared_ptr<Statistics> GetStatistics(const Napi::Object& options, const char* key) {
  const Napi::Value value = options.Get(key);
  return value.IsUndefined() ? nullptr : GetHandle<Statistics>(value, key);
}

// (engine, ends, {hidden, gradient, targets, labels, seed}) -> Promise<{nll, targets}>
Napi::Value HeadGradientOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto ends = GetHandle<EndsSpec>(info[1], "ends");
  const auto options = GetObject(info[2], "options");
  const auto hidden = GetHandle<PagedMatrix>(options.Get("hidden"), "hidden");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const auto targets = GetInt32Array(options.Get("targets"), "targets");
  const Labels labels = GetLabels(options.Get("labels"));
  const uint64_t seed = GetSize(options.Get("seed"), "seed");
  const auto loss = std::make_shared<HeadLoss>();
  return RunOn(
      info.Env(), context,
      [=] {
        *loss =
            HeadGradient(*context, *ends, {hidden.get(), gradient.get(), targets, labels, seed});
      },
      [loss](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("nll", loss->nll);
        result.Set("targets", static_cast<double>(loss->targets));
        return result;
      });
}

// (engine, block, {window, inputs, gradient, ffn?, attention?, ffnInputs?, attentionInputs?}) ->
// Promise
Napi::Value BackwardBlockOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const auto options = GetObject(info[2], "options");
  const size_t window = GetSize(options.Get("window"), "window");
  const auto inputs = GetHandle<PagedMatrix>(options.Get("inputs"), "inputs");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const auto ffn = GetStatistics(options, "ffn"), attention = GetStatistics(options, "attention");
  const auto into_ffn = GetStatistics(options, "ffnInputs"),
             into_attention = GetStatistics(options, "attentionInputs");
  return RunOn(
      info.Env(), context,
      [=] {
        BackwardBlock(*block, {window, inputs.get(), gradient.get(), ffn.get(), attention.get(),
                               into_ffn.get(), into_attention.get()});
      },
      Nothing);
}

}  // namespace

void InitBackward(Napi::Env env, Napi::Object exports) {
  Export<HeadGradientOf>(env, exports, "headGradient");
  Export<BackwardBlockOf>(env, exports, "backwardBlock");
}

}  // namespace struprune::addon
