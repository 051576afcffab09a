#include "addon/bench_addon.h"

#include <memory>

#include "addon/handles.h"
#include "addon/specs.h"
#include "bench/gpu_kernels.h"
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

Napi::Array ToJs(Napi::Env env, const std::vector<bench::Timing>& timings) {
  Napi::Array list = Napi::Array::New(env, timings.size());
  for (uint32_t i = 0; i < timings.size(); ++i) list.Set(i, ToJs(env, timings[i]));
  return list;
}

bench::KernelRun GetRun(const Napi::Value& value) {
  const auto options = GetObject(value, "options");
  return {GetSize(options.Get("tokens"), "tokens"), GetSize(options.Get("window"), "window"),
          GetNumber(options.Get("seconds"), "seconds")};
}

// (engine, block, {tokens, window, seconds}) -> Promise<{op, shape, dtype, flops, bytes, seconds,
// repeats}[]>
Napi::Value TimeKernels(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const bench::KernelRun run = GetRun(info[2]);
  auto timings = std::make_shared<std::vector<bench::Timing>>();
  return RunOn(
      info.Env(), context, [=] { *timings = bench::TimeKernels(*block, run); },
      [timings](Napi::Env env) -> Napi::Value { return ToJs(env, *timings); });
}

// (engine, block spec, head {width, vocab}, {tokens, window, seconds}) -> Promise<{gemmRates:
// {dtype, gflops}[], bandwidth, timings: as timeKernels}> of the engine's GPU
Napi::Value TimeGpuKernels(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) throw BadArgument("the engine has no GPU");
  const BlockSpec spec = GetBlockSpec(info[1]);
  const Napi::Object shape = GetObject(info[2], "head");
  const bench::HeadShape head{GetSize(shape.Get("width"), "width"),
                              GetSize(shape.Get("vocab"), "vocab")};
  const bench::KernelRun run = GetRun(info[3]);
  struct Found {
    bench::GpuRoofs roofs;
    std::vector<bench::Timing> timings;
  };
  auto found = std::make_shared<Found>();
  return RunOn(
      info.Env(), context,
      [=] {
        found->timings = bench::TimeGpuKernels(*context->gpu, spec, head, run);
        found->roofs = bench::MeasureGpuRoofs(*context->gpu, run.seconds);
      },
      [found](Napi::Env env) -> Napi::Value {
        Napi::Array rates = Napi::Array::New(env, found->roofs.rates.size());
        for (uint32_t i = 0; i < found->roofs.rates.size(); ++i) {
          Napi::Object rate = Napi::Object::New(env);
          rate.Set("dtype", found->roofs.rates[i].dtype);
          rate.Set("gflops", found->roofs.rates[i].gflops);
          rates.Set(i, rate);
        }
        Napi::Object object = Napi::Object::New(env);
        object.Set("gemmRates", rates);
        object.Set("bandwidth", found->roofs.bandwidth);
        object.Set("timings", ToJs(env, found->timings));
        return object;
      });
}

}  // namespace

void InitBench(Napi::Env env, Napi::Object exports) {
  Export<MeasureRoofs>(env, exports, "measureRoofs");
  Export<TimeKernels>(env, exports, "timeKernels");
  Export<TimeGpuKernels>(env, exports, "timeGpuKernels");
}

}  // namespace struprune::addon
