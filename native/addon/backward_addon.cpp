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

// What a backward pass sums beside, with what keeps the sums alive.
struct HeldSums {
  std::vector<GradientSums> sums;
  std::vector<std::shared_ptr<Statistics>> held;

  Statistics* Take(const Napi::Object& options, const std::string& key) {
    auto statistics = GetStatistics(options, key.c_str());
    if (statistics) held.push_back(statistics);
    return statistics.get();
  }
};

// by_site: {[site]: {output?, input?}}; factors: {[tensor]: statistics}; either may be undefined
HeldSums GetSums(const BlockSpec& spec, const Napi::Value& by_site, const Napi::Value& factors) {
  HeldSums all;
  all.sums.resize(spec.sublayers.size());
  if (!by_site.IsUndefined()) {
    const auto sites = GetObject(by_site, "sums");
    for (size_t i = 0; i < spec.sublayers.size(); ++i) {
      const Napi::Value value = sites.Get(spec.sublayers[i].name);
      if (value.IsUndefined()) continue;
      const auto options = GetObject(value, "sums");
      all.sums[i].output = all.Take(options, "output");
      all.sums[i].input = all.Take(options, "input");
    }
  }
  if (factors.IsUndefined()) return all;
  const auto by_name = GetObject(factors, "factors");
  const Napi::Array names = by_name.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = GetString(names.Get(i), "name");
    const auto [sublayer, part] = TensorNamed(spec, name);
    all.sums[sublayer].factors[static_cast<size_t>(part)] = all.Take(by_name, name);
  }
  return all;
}

// (engine, block, {window, inputs, gradient, sums?: {[site]: {output?, input?}}, factors?:
// {[tensor]: statistics}}) -> Promise
Napi::Value BackwardBlockOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const auto options = GetObject(info[2], "options");
  const size_t window = GetSize(options.Get("window"), "window");
  const auto inputs = GetHandle<PagedMatrix>(options.Get("inputs"), "inputs");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const HeldSums sums = GetSums(block->spec(), options.Get("sums"), options.Get("factors"));
  return RunOn(
      info.Env(), context,
      [=] {
        const BackwardRun run{window, inputs.get(), gradient.get(), sums.sums};
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
