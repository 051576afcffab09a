#include "addon/backward_addon.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

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

// (engine, ends, {hidden, gradient, mean, negativeEntropy, finalNorm?}) -> Promise<number>
Napi::Value DivergenceGradientOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto ends = GetHandle<EndsSpec>(info[1], "ends");
  const auto options = GetObject(info[2], "options");
  const auto hidden = GetHandle<PagedMatrix>(options.Get("hidden"), "hidden");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const auto mean = GetHandle<PagedMatrix>(options.Get("mean"), "mean");
  const auto array = GetFloat64Array(options.Get("negativeEntropy"), "negativeEntropy");
  const std::vector<double> entropy(array.Data(), array.Data() + array.ElementLength());
  const auto norm = GetStatistics(options, "finalNorm");
  const auto sum = std::make_shared<double>();
  return RunOn(
      info.Env(), context,
      [=] {
        *sum = DivergenceGradient(*context, *ends,
                                  {hidden.get(), gradient.get(), mean.get(), entropy, norm.get()});
      },
      [sum](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *sum); });
}

// A Statistics by role; what is not there is null.
std::array<std::shared_ptr<Statistics>, kRoles> GetFactors(const Napi::Value& value) {
  std::array<std::shared_ptr<Statistics>, kRoles> factors;
  if (value.IsUndefined()) return factors;
  const auto object = GetObject(value, "factors");
  for (size_t r = 0; r < kRoles; ++r) {
    factors[r] = GetStatistics(object, std::string(kRoleNames[r]).c_str());
  }
  return factors;
}

// (engine, block, {window, inputs, gradient, ffn?, attention?, ffnInputs?, attentionInputs?,
// factors?}) -> Promise
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
  const auto factors = GetFactors(options.Get("factors"));
  return RunOn(
      info.Env(), context,
      [=] {
        BackwardRun run{window,          inputs.get(),   gradient.get(),       ffn.get(),
                        attention.get(), into_ffn.get(), into_attention.get(), {}};
        for (size_t r = 0; r < kRoles; ++r) run.factors[r] = factors[r].get();
        BackwardBlock(*block, run);
      },
      Nothing);
}

}  // namespace

void InitBackward(Napi::Env env, Napi::Object exports) {
  Export<HeadGradientOf>(env, exports, "headGradient");
  Export<DivergenceGradientOf>(env, exports, "divergenceGradient");
  Export<BackwardBlockOf>(env, exports, "backwardBlock");
}

}  // namespace struprune::addon
