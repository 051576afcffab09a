#include "addon/bench_addon.h"

#include <memory>

#include "addon/handles.h"
#include "bench/kernels.h"

namespace struprune::addon {
namespace {

// (engine, seconds) -> Promise<{f32, f64, bandwidth}>
Napi::Value MeasureRoofs(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const double seconds = GetNumber(info[1], "seconds");
  auto roofs = std::make_shared<bench::Roofs>();
  return RunOn(
      info.Env(), context, [=] { *roofs = bench::MeasureRoofs(*context, seconds); },
      [roofs](Napi::Env env) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("f32", roofs->f32);
        object.Set("f64", roofs->f64);
        object.Set("bandwidth", roofs->bandwidth);
        return object;
      });
}

Napi::Value ToJs(Napi::Env env, const bench::Timing& timing) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("op", timing.op);
  object.Set("shape", timing.shape);
  object.Set("dtype", timing.dtype);
  object.Set("flops", timing.flops);
  object.Set("bytes", timing.bytes);
  object.Set("seconds", timing.seconds);
  object.Set("repeats", static_cast<double>(timing.repeats));
  return object;
}

// (engine, block, {tokens, window, seconds}) -> Promise<{op, shape, dtype, flops, bytes, seconds,
// repeats}[]>
Napi::Value TimeKernels(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const auto options = GetObject(info[2], "options");
  const bench::KernelRun run{GetSize(options.Get("tokens"), "tokens"),
                             GetSize(options.Get("window"), "window"),
                             GetNumber(options.Get("seconds"), "seconds")};
  auto timings = std::make_shared<std::vector<bench::Timing>>();
  return RunOn(
      info.Env(), context, [=] { *timings = bench::TimeKernels(*block, run); },
      [timings](Napi::Env env) -> Napi::Value {
        Napi::Array list = Napi::Array::New(env, timings->size());
        for (uint32_t i = 0; i < timings->size(); ++i) list.Set(i, ToJs(env, (*timings)[i]));
        return list;
      });
}

}  // namespace

void InitBench(Napi::Env env, Napi::Object exports) {
  Export<MeasureRoofs>(env, exports, "measureRoofs");
  Export<TimeKernels>(env, exports, "timeKernels");
}

}  // namespace struprune::addon
