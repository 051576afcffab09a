#include "addon/backward_addon.h"

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

// One sublayer's sums, {output?, input?}, with what keeps them alive.
struct HeldSums {
  GradientSums sums;
  std::vector<std::shared_ptr<Statistics>> held;

  Statistics* Take(const Napi::Object& options, const char* key) {
    auto statistics = GetStatistics(options, key);
    if (statistics) held.push_back(statistics);
    return statistics.get();
  }
};

HeldSums GetSums(const Napi::Value& value) {
  HeldSums all;
  if (value.IsUndefined()) return all;
  const auto options = GetObject(value, "sums");
  all.sums.output = all.Take(options, "output");
  all.sums.input = all.Take(options, "input");
  return all;
}

// (engine, block, {window, inputs, gradient, sums: {[site]: {output?, input?}}}) -> Promise
Napi::Value BackwardBlockOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const auto options = GetObject(info[2], "options");
  const size_t window = GetSize(options.Get("window"), "window");
  const auto inputs = GetHandle<PagedMatrix>(options.Get("inputs"), "inputs");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const auto by_site = GetObject(options.Get("sums"), "sums");
  std::vector<HeldSums> sums;
  for (const SublayerSpec& layer : block->spec().sublayers) {
    sums.push_back(GetSums(by_site.Get(layer.name)));
  }
  return RunOn(
      info.Env(), context,
      [=] {
        BackwardRun run{window, inputs.get(), gradient.get()};
        for (const HeldSums& of : sums) run.sums.push_back(of.sums);
        BackwardBlock(*block, run);
      },
      Nothing);
}

}  // namespace

void InitBackward(Napi::Env env, Napi::Object exports) {
  Export<HeadGradientOf>(env, exports, "headGradient");
  Export<BackwardBlockOf>(env, exports, "backwardBlock");
}

}  // namespace struprune::addon
