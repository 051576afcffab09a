// An engine: threads, a memory budget, a GPU where it has one.
#include <memory>
#include <mutex>
#include <string>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "backend/cuda_library.h"
#include "backend/host_pages.h"
#include "ops/gemm.h"
#include "ops/gemm_path.h"

namespace struprune::addon {
namespace {

// (threads, memoryLimit, precision: "bf16" | "bf16x3" | "f32") -> engine
Napi::Value CreateEngine(const Napi::CallbackInfo& info) {
  const auto context =
      std::make_shared<Context>(GetThreads(info[0]), GetSize(info[1], "memoryLimit"),
                                [precision = GetPrecision(info[2])](Purpose purpose) {
                                  SetGemmPath(PathFor(precision, purpose));
                                });
  context->row_step = BlasRowStep();
  return MakeHandle(info.Env(), context);
}

// (engine, boolean): running and coming jobs of the engine reject with ERR_ABORTED while it is set.
Napi::Value SetAbort(const Napi::CallbackInfo& info) {
  EngineOf(info)->abort.store(GetBool(info[1], "abort"));
  return info.Env().Undefined();
}

// (engine) -> {used, peak, limit} bytes that the library allocated, and `kept` of what it freed
Napi::Value MemoryOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("used", static_cast<double>(context->budget->used()));
  result.Set("peak", static_cast<double>(context->budget->peak()));
  result.Set("limit", static_cast<double>(context->budget->limit()));
  result.Set("kept", static_cast<double>(context->budget->kept()));
  return result;
}

// (engine, bytes): up to where pages may fill memory beside everything else
Napi::Value SetRoom(const Napi::CallbackInfo& info) {
  EngineOf(info)->budget->set_room(GetSize(info[1], "room"));
  return info.Env().Undefined();
}

// (engine, bytes): what will be needed at once until giveBack; up to there memory is kept for the
// next buffers, or goes to what is only faster to have
Napi::Value Expect(const Napi::CallbackInfo& info) {
  EngineOf(info)->budget->Expect(GetSize(info[1], "bytes"));
  return info.Env().Undefined();
}

// (engine) -> Promise: gives the system the memory that is kept for the next buffers
Napi::Value GiveBack(const Napi::CallbackInfo& info) {
  return RunAsync(
      info.Env(),
      [context = EngineOf(info)] {
        const std::lock_guard lock(context->job);
        if (context->gpu) TrimPinned(*context->gpu);
        context->budget->GiveBack();
      },
      Nothing);
}

// (engine, {library, index, memory, precision, leastFlops?}) -> Promise<{description, hasBlas}>:
// sites of the engine run on the GPU from here.
Napi::Value AttachGpu(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const Napi::Object options = GetObject(info[1], "options");
  const std::string library = GetString(options.Get("library"), "library");
  CudaOptions open;
  open.index = static_cast<int>(GetSize(options.Get("index"), "index"));
  open.budget = GetSize(options.Get("memory"), "memory");
  if (options.Get("leastFlops").IsNumber()) {
    open.least_flops = GetNumber(options.Get("leastFlops"), "leastFlops");
    // Then it is asked for all of it.
    if (open.least_flops == 0) open.least_intensity = 0;
  }
  // BF16x3 is as good as fp32 to about five digits (cuda/abi.h), at tensor-core speed.
  const AllowedPrecision precision = GetPrecision(options.Get("precision"));
  const bool exact = precision == AllowedPrecision::kF32;
  open.gram = exact ? cuda::Precision::kExact : cuda::Precision::kBf16x3;
  open.forward = precision == AllowedPrecision::kBf16 ? cuda::Precision::kBf16 : open.gram;
  using Device = std::shared_ptr<CudaDevice>;
  return ComputeOn(
      info.Env(), context,
      [=] {
        context->gpu = std::make_shared<CudaDevice>(CudaLibrary::Load(library), open);
        return context->gpu;
      },
      [](Napi::Env env, const Device& gpu) {
        Napi::Object result = Napi::Object::New(env);
        result.Set("description", gpu->Describe());
        result.Set("hasBlas", gpu->has_blas());
        return result;
      });
}

// (engine) -> {used, peak, limit} of the GPU's memory in bytes, null without a GPU
Napi::Value GpuMemoryOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) return info.Env().Null();
  const cuda::MemoryReport memory = context->gpu->memory();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("used", static_cast<double>(memory.used));
  result.Set("peak", static_cast<double>(memory.peak));
  result.Set("limit", static_cast<double>(memory.limit));
  return result;
}

// (engine) -> {host, copyIn, forward, sums, copyOut, algebra}: seconds that the host copied pages,
// of the GPU's streams for sites, and of linear algebra there, so far; null without a GPU
Napi::Value GpuTimesOf(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  if (!context->gpu) return info.Env().Null();
  const StreamTimes& times = context->gpu->times();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("host", context->gpu->host_seconds());
  result.Set("copyIn", times.copy_in);
  result.Set("forward", times.forward);
  result.Set("sums", times.sums);
  result.Set("copyOut", times.copy_out);
  result.Set("algebra", context->gpu->algebra_seconds());
  return result;
}

}  // namespace

void InitEngine(Napi::Env env, Napi::Object exports) {
  Export<CreateEngine>(env, exports, "createEngine");
  Export<SetAbort>(env, exports, "setAbort");
  Export<MemoryOf>(env, exports, "memoryOf");
  Export<SetRoom>(env, exports, "setRoom");
  Export<Expect>(env, exports, "expect");
  Export<GiveBack>(env, exports, "giveBack");
  Export<AttachGpu>(env, exports, "attachGpu");
  Export<GpuMemoryOf>(env, exports, "gpuMemoryOf");
  Export<GpuTimesOf>(env, exports, "gpuTimesOf");
}

}  // namespace struprune::addon
