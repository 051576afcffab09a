// Calls that only benchmarks make.
#include <memory>
#include <string>
#include <vector>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "bench/gemm_rate.h"
#include "bench/gpu_kernels.h"
#include "bench/kernels.h"

namespace struprune::addon {
namespace {

// (engine, n, k, seconds, by: "sgemm" | purpose) -> Promise<GFLOP/s> of products [256, k] x [k, n]
// on all threads, by the BLAS's sgemm or by the path that the purpose has
Napi::Value MeasureGemm(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const size_t n = GetSize(info[1], "n"), k = GetSize(info[2], "k");
  const double seconds = GetNumber(info[3], "seconds");
  const bool sgemm = GetString(info[4], "by") == "sgemm";
  return ComputeOn(
      info.Env(), context, [=] { return bench::MeasureGemm(*context, n, k, seconds, sgemm); },
      Number, sgemm ? Purpose::kMeasuring : GetPurpose(info[4]));
}

// (engine, seconds) -> Promise<{f32, f64, bandwidth}>
Napi::Value MeasureRoofs(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const double seconds = GetNumber(info[1], "seconds");
  return ComputeOn(
      info.Env(), context, [=] { return bench::MeasureRoofs(*context, seconds); },
      [](Napi::Env env, const bench::Roofs& roofs) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("f32", roofs.f32);
        object.Set("f64", roofs.f64);
        object.Set("bandwidth", roofs.bandwidth);
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

// (block, {tokens, window, seconds}) -> Promise<{op, shape, dtype, flops, bytes, seconds,
// repeats}[]>
Napi::Value TimeKernels(const Napi::CallbackInfo& info) {
  const auto block = GetHandle<Block>(info[0], "block");
  const bench::KernelRun run = GetRun(info[1]);
  return ComputeOn(
      info.Env(), block->shared_context(), [=] { return bench::TimeKernels(*block, run); },
      [](Napi::Env env, const std::vector<bench::Timing>& timings) { return ToJs(env, timings); });
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
    std::vector<bench::Timing> timings;
    bench::GpuRoofs roofs;
  };
  return ComputeOn(
      info.Env(), context,
      [=] {
        auto timings = bench::TimeGpuKernels(*context->gpu, spec, head, run);
        return Found{std::move(timings), bench::MeasureGpuRoofs(*context->gpu, run.seconds)};
      },
      [](Napi::Env env, const Found& found) {
        const auto& rates = found.roofs.rates;
        Napi::Array list = Napi::Array::New(env, rates.size());
        for (uint32_t i = 0; i < rates.size(); ++i) {
          Napi::Object rate = Napi::Object::New(env);
          rate.Set("dtype", rates[i].dtype);
          rate.Set("gflops", rates[i].gflops);
          list.Set(i, rate);
        }
        Napi::Object object = Napi::Object::New(env);
        object.Set("gemmRates", list);
        object.Set("bandwidth", found.roofs.bandwidth);
        object.Set("timings", ToJs(env, found.timings));
        return object;
      });
}

}  // namespace

void InitBench(Napi::Env env, Napi::Object exports) {
  Export<MeasureGemm>(env, exports, "measureGemm");
  Export<MeasureRoofs>(env, exports, "measureRoofs");
  Export<TimeKernels>(env, exports, "timeKernels");
  Export<TimeGpuKernels>(env, exports, "timeGpuKernels");
}

}  // namespace struprune::addon
