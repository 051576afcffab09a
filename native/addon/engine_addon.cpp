#include "addon/engine_addon.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "addon/handles.h"
#include "addon/specs.h"
#include "backend/host_pages.h"
#include "core/copy_rows.h"
#include "core/file_lock.h"
#include "core/heap.h"
#include "model/forward.h"
#include "ops/gemm.h"
#include "ops/gemm_path.h"
#include "passes/score.h"
#include "passes/site.h"
#include "tiles/strips.h"

namespace struprune::addon {
namespace {

using Info = Napi::CallbackInfo;

// (threads, memoryLimit, precision: "bf16" | "bf16x3" | "f32") -> engine
Napi::Value CreateEngine(const Info& info) {
  return MakeHandle(info.Env(),
                    std::make_shared<Context>(GetThreads(info[0]), GetSize(info[1], "memoryLimit"),
                                              [precision = GetPrecision(info[2])](Purpose purpose) {
                                                SetGemmPath(PathFor(precision, purpose));
                                              }));
}

// (engine, boolean): whether the jobs that are asked for from here on sum over calibration tokens
Napi::Value SetCalibrating(const Info& info) {
  EngineOf(info)->next_calibrates = GetBool(info[1], "calibrating");
  return info.Env().Undefined();
}

// (engine, boolean): running and coming jobs of the engine reject with ERR_ABORTED while it is set.
Napi::Value SetAbort(const Info& info) {
  EngineOf(info)->abort.store(GetBool(info[1], "abort"));
  return info.Env().Undefined();
}

// (engine) -> {used, peak, limit} bytes that the library allocated, and `kept` of what it freed
Napi::Value MemoryOf(const Info& info) {
  const auto context = EngineOf(info);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("used", static_cast<double>(context->budget->used()));
  result.Set("peak", static_cast<double>(context->budget->peak()));
  result.Set("limit", static_cast<double>(context->budget->limit()));
  result.Set("kept", static_cast<double>(context->budget->kept()));
  return result;
}

// (descriptor) -> "taken", "held" or "unknown"
Napi::Value LockFile(const Info& info) {
  const auto descriptor = static_cast<int>(GetSize(info[0], "descriptor"));
  switch (TryLock(descriptor)) {
    case FileLock::kTaken:
      return Napi::String::New(info.Env(), "taken");
    case FileLock::kHeld:
      return Napi::String::New(info.Env(), "held");
    case FileLock::kUnknown:
      break;
  }
  return Napi::String::New(info.Env(), "unknown");
}

// () -> largest resident size of the process so far, bytes
Napi::Value PeakRss(const Info& info) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return Napi::Number::New(info.Env(), static_cast<double>(usage.ru_maxrss));
#else
  return Napi::Number::New(info.Env(), static_cast<double>(usage.ru_maxrss) * 1024);
#endif
}

Napi::Value Release(const Info& info) {
  GetHandleBase(info[0], "handle").Release();
  return info.Env().Undefined();
}

// Like release, with the memory given back on another thread: that of a gigabyte of pages takes
// a tenth of a second. -> Promise
Napi::Value Free(const Info& info) {
  const auto held =
      std::make_shared<std::shared_ptr<void>>(GetHandleBase(info[0], "handle").Take());
  return RunAsync(info.Env(), [held] { held->reset(); }, Nothing);
}

// (engine, n, k, seconds, sgemm: boolean) -> GFLOP/s of products [chunk, k] x [k, n] on all
// threads, by the BLAS's sgemm or by the engine's own path
Napi::Value MeasureGemm(const Info& info) {
  const auto context = EngineOf(info);
  const size_t n = GetSize(info[1], "n"), k = GetSize(info[2], "k");
  const double seconds = GetNumber(info[3], "seconds");
  const bool sgemm = GetBool(info[4], "sgemm");
  auto rate = std::make_shared<double>(0);
  return RunOn(
      info.Env(), context,
      [=] {
        constexpr size_t kRows = 256;
        const size_t workers = context->pool.size();
        auto a = context->Allocate<float>(workers * kRows * k);
        auto b = context->Allocate<float>(n * k);
        auto c = context->Allocate<float>(workers * kRows * n);
        std::fill_n(a.data(), a.size(), 0.5f);
        std::fill_n(b.data(), b.size(), 0.25f);
        size_t products = 0;
        const auto start = std::chrono::steady_clock::now();
        double elapsed = 0;
        do {
          context->CheckAbort();
          context->pool.ParallelFor(workers * 4, [&](size_t, size_t worker) {
            const ScopedGemmPath path(sgemm ? GemmPath::kCblasF32 : CurrentGemmPath());
            Gemm(Trans::kNo, Trans::kYes, kRows, n, k, 1.0f, a.data() + worker * kRows * k, k,
                 b.data(), k, 0.0f, c.data() + worker * kRows * n, n);
          });
          products += workers * 4;
          elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        } while (elapsed < seconds);
        *rate = 2e-9 * static_cast<double>(kRows * n * k * products) / elapsed;
      },
      [rate](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *rate); });
}

// (path) -> file
Napi::Value OpenFile(const Info& info) {
  return MakeHandle(info.Env(), std::make_shared<MappedFile>(GetString(info[0], "path")));
}

// (engine, bytes): up to where pages may fill memory beside everything else
Napi::Value SetRoom(const Info& info) {
  EngineOf(info)->budget->set_room(GetSize(info[1], "room"));
  return info.Env().Undefined();
}

// (engine, bytes): what will be needed at once until giveBack; up to there memory is kept for the
// next buffers, or goes to what is only faster to have
Napi::Value Expect(const Info& info) {
  EngineOf(info)->budget->Expect(GetSize(info[1], "bytes"));
  return info.Env().Undefined();
}

// (engine) -> Promise: gives the system the memory that is kept for the next buffers
Napi::Value GiveBack(const Info& info) {
  return RunAsync(
      info.Env(),
      [context = EngineOf(info)] {
        const std::lock_guard lock(context->job);
        if (context->gpu) TrimPinned(*context->gpu);
        context->budget->GiveBack();
      },
      Nothing);
}

// (engine, scratchFolder | "") -> page store, without a folder in memory alone
Napi::Value CreateStore(const Info& info) {
  return MakeHandle(info.Env(),
                    std::make_shared<PageStore>(EngineOf(info), 0, GetString(info[1], "scratch")));
}

// (store) -> {read, written}: bytes from and to its scratch file
Napi::Value TrafficOf(const Info& info) {
  const PageStore::Traffic traffic = GetHandle<PageStore>(info[0], "store")->traffic();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("read", static_cast<double>(traffic.read_bytes));
  result.Set("written", static_cast<double>(traffic.written_bytes));
  return result;
}

// (store, rows, cols, pageRows) -> matrix
Napi::Value CreateMatrix(const Info& info) {
  const size_t rows = GetSize(info[1], "rows"), cols = GetSize(info[2], "cols");
  const size_t page_rows = GetSize(info[3], "pageRows");
  if (page_rows == 0) throw BadArgument("a page has at least one row");
  if (cols > SIZE_MAX / sizeof(float) / page_rows) throw BadArgument("a page is too large");
  return MakeHandle(info.Env(), std::make_shared<PagedMatrix>(
                                    GetHandle<PageStore>(info[0], "store"), rows, cols, page_rows));
}

// (engine, matrix, row, count) -> Float32Array, a copy
Napi::Value MatrixRows(const Info& info) {
  const auto matrix = GetHandle<PagedMatrix>(info[1], "matrix");
  const size_t row = GetSize(info[2], "row"), count = GetSize(info[3], "count");
  if (row + count > matrix->rows()) throw BadArgument("rows outside the matrix");
  auto values = Napi::Float32Array::New(info.Env(), count * matrix->cols());
  matrix->Read(row, count, values.Data());
  return values;
}

// (engine, matrix) -> Promise<sum of all squares>
Napi::Value EnergyOf(const Info& info) {
  const auto context = EngineOf(info);
  const auto matrix = GetHandle<PagedMatrix>(info[1], "matrix");
  auto sum = std::make_shared<double>(0);
  return RunOn(
      info.Env(), context,
      [=] {
        for (size_t row = 0; row < matrix->rows();) {
          context->CheckAbort();
          const size_t count = matrix->Run(row, matrix->page_rows());
          const PagedMatrix::View view(*matrix, row, count, PagedMatrix::Access::kRead);
          for (size_t i = 0; i < count * matrix->cols(); ++i) {
            *sum += static_cast<double>(view.data()[i]) * view.data()[i];
          }
          row += count;
        }
      },
      [sum](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *sum); });
}

// (engine, matrix, row, Float32Array of whole rows)
Napi::Value SetMatrixRows(const Info& info) {
  const auto matrix = GetHandle<PagedMatrix>(info[1], "matrix");
  const size_t row = GetSize(info[2], "row");
  if (!info[3].IsTypedArray() ||
      info[3].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    throw BadArgument("values must be a Float32Array");
  }
  const auto values = info[3].As<Napi::Float32Array>();
  if (matrix->cols() == 0) throw BadArgument("the matrix has no columns");
  const size_t count = values.ElementLength() / matrix->cols();
  if (values.ElementLength() % matrix->cols() != 0 || row + count > matrix->rows()) {
    throw BadArgument("rows outside the matrix");
  }
  matrix->Write(row, count, values.Data());
  return info.Env().Undefined();
}

// (matrix) -> {rows, cols, pageRows}
Napi::Value MatrixShape(const Info& info) {
  const auto matrix = GetHandle<PagedMatrix>(info[0], "matrix");
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("rows", static_cast<double>(matrix->rows()));
  result.Set("cols", static_cast<double>(matrix->cols()));
  result.Set("pageRows", static_cast<double>(matrix->page_rows()));
  return result;
}

// (engine, from, to, {from, to, count}?): copies those rows, or all
Napi::Value CopyMatrix(const Info& info) {
  const auto context = EngineOf(info);
  const auto from = GetHandle<PagedMatrix>(info[1], "from");
  const auto to = GetHandle<PagedMatrix>(info[2], "to");
  size_t from_row = 0, to_row = 0, rows = from->rows();
  if (info[3].IsObject()) {
    const Napi::Object part = GetObject(info[3], "rows");
    from_row = GetSize(part.Get("from"), "from"), to_row = GetSize(part.Get("to"), "to");
    rows = GetSize(part.Get("count"), "count");
  } else if (to->rows() != rows) {
    throw BadArgument("shapes differ");
  }
  if (from->cols() != to->cols()) throw BadArgument("shapes differ");
  if (from_row + rows > from->rows() || to_row + rows > to->rows()) {
    throw BadArgument("rows outside a matrix");
  }
  return RunOn(
      info.Env(), context, [=] { CopyRows(*context, *from, from_row, *to, to_row, rows); },
      Nothing);
}

// (engine, store, dim, withGram, residualDim) -> statistics
Napi::Value CreateStatistics(const Info& info) {
  const TileSpace space{EngineOf(info), GetHandle<PageStore>(info[1], "store")};
  return MakeHandle(info.Env(), std::make_shared<Statistics>(space, GetSize(info[2], "dim"),
                                                             GetBool(info[3], "withGram"),
                                                             GetSize(info[4], "residualDim")));
}

// (statistics, row, count) -> Float64Array[count * dim] of the Gram matrix, a copy
Napi::Value GramRows(const Info& info) {
  const auto statistics = GetHandle<Statistics>(info[0], "statistics");
  const size_t row = GetSize(info[1], "row"), count = GetSize(info[2], "count");
  if (!statistics->has_gram() || row + count > statistics->dim()) {
    throw BadArgument("rows outside the Gram matrix");
  }
  auto values = Napi::Float64Array::New(info.Env(), count * statistics->dim());
  ReadRows(*statistics->gram(), row, count, values.Data());
  return values;
}

// (statistics) -> {tokens, dim, sums, squares: Float64Array[dim]}
Napi::Value ReadStatistics(const Info& info) {
  const auto statistics = GetHandle<Statistics>(info[0], "statistics");
  const size_t dim = statistics->dim();
  const auto copy = [&](const double* from, size_t count) {
    auto array = Napi::Float64Array::New(info.Env(), count);
    std::copy_n(from, count, array.Data());
    return array;
  };
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("tokens", static_cast<double>(statistics->tokens()));
  result.Set("dim", static_cast<double>(dim));
  result.Set("sums", copy(statistics->sums(), dim));
  result.Set("squares", copy(statistics->squares(), dim));
  return result;
}

// (engine, store, spec, tensors, files, stored) -> Promise<block>
Napi::Value LoadBlock(const Info& info) {
  const auto context = EngineOf(info);
  const auto store = GetHandle<PageStore>(info[1], "store");
  const auto spec = GetBlockSpec(info[2]);
  const auto sources =
      GetBlockTensors(spec, GetObject(info[3], "tensors"), GetArray(info[4], "files"));
  const Stored stored = GetStored(info[5]);
  auto block = std::make_shared<std::shared_ptr<Block>>();
  return RunOn(
      info.Env(), context,
      [=] { *block = std::make_shared<Block>(context, store, spec, sources, stored); },
      [block](Napi::Env env) { return MakeHandle(env, *block); });
}

// (engine, block, site, {window, hidden, advance, statistics?, keep?, inputs?, targets?,
// denseBefore?, denseAfter?, alpha, beta, repeats?: {collects, gram, feedback, inputs}}) -> Promise
Napi::Value RunSiteOn(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetSublayer(*block, info[2]);
  const auto options = GetObject(info[3], "options");
  const auto matrix = [&](const char* key) -> std::shared_ptr<PagedMatrix> {
    const Napi::Value value = options.Get(key);
    if (value.IsUndefined() || value.IsNull()) return nullptr;
    return GetHandle<PagedMatrix>(value, key);
  };
  const auto hidden = matrix("hidden"), keep = matrix("keep"), before = matrix("denseBefore"),
             after = matrix("denseAfter"), inputs = matrix("inputs"), targets = matrix("targets");
  std::shared_ptr<Statistics> statistics;
  if (options.Get("statistics").IsExternal()) {
    statistics = GetHandle<Statistics>(options.Get("statistics"), "statistics");
  }
  SiteRun run;
  run.window = GetSize(options.Get("window"), "window");
  run.advance = GetBool(options.Get("advance"), "advance");
  run.alpha = static_cast<float>(GetNumber(options.Get("alpha"), "alpha"));
  run.beta = static_cast<float>(GetNumber(options.Get("beta"), "beta"));
  if (options.Get("repeats").IsObject()) {
    const Napi::Object sums = GetObject(options.Get("repeats"), "repeats");
    run.repeats = {GetBool(sums.Get("collects"), "collects"), GetBool(sums.Get("gram"), "gram"),
                   GetBool(sums.Get("feedback"), "feedback"),
                   GetBool(sums.Get("inputs"), "inputs")};
  }
  const size_t width = layer.width();
  if (!hidden || hidden->cols() != layer.hidden()) throw BadArgument("hidden has another width");
  if (keep && (keep->cols() != width || keep->rows() != hidden->rows())) {
    throw BadArgument("keep has another shape");
  }
  if (inputs && ((inputs->cols() != hidden->cols() && inputs->cols() != hidden->cols() + 1) ||
                 inputs->rows() != hidden->rows())) {
    throw BadArgument("inputs have another shape");
  }
  if (targets && (targets->cols() != hidden->cols() || targets->rows() != hidden->rows())) {
    throw BadArgument("targets have another shape");
  }
  if (statistics &&
      (statistics->dim() != width || statistics->residual_dim() != (before ? layer.hidden() : 0))) {
    throw BadArgument("statistics have another shape");
  }
  for (const auto& dense : {before, after}) {
    if (dense && (dense->cols() != hidden->cols() || dense->rows() != hidden->rows())) {
      throw BadArgument("dense states have another shape");
    }
  }
  if (before && run.beta != 0 && !after) throw BadArgument("beta needs denseAfter");
  if (options.Get("firstRows").IsNumber()) {
    run.first_rows = GetSize(options.Get("firstRows"), "firstRows");
    const bool alone = !keep && !inputs && !targets && !statistics && !before;
    if (run.first_rows == 0 || run.first_rows > hidden->rows() || !alone) {
      throw BadArgument("firstRows must be rows of the hidden states, without sums and sinks");
    }
  }
  if (before && !layer.spec().adds_plainly()) {
    throw Error("ERR_UNSUPPORTED",
                "feedback (alpha, beta) needs a model without norms behind attention and FFN",
                "leave --alpha and --beta at 0");
  }
  return RunOn(
      info.Env(), context,
      [=, block = block]() mutable {
        run.hidden = hidden.get();
        run.statistics = statistics.get();
        run.keep = keep.get();
        run.inputs = inputs.get();
        run.targets = targets.get();
        run.dense_before = before.get();
        run.dense_after = after.get();
        StreamSite(layer, run);
      },
      Nothing);
}

// (engine, block, site, kept, columns | null, hidden) -> Promise
Napi::Value ApplySiteOn(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetSublayer(*block, info[2]);
  const auto x = GetHandle<PagedMatrix>(info[3], "kept");
  std::vector<int32_t> columns;
  if (!info[4].IsNull()) columns = GetInt32Array(info[4], "columns");
  const auto hidden = GetHandle<PagedMatrix>(info[5], "hidden");
  const size_t width = columns.empty() ? x->cols() : columns.size();
  if (width != layer.width() || x->rows() != hidden->rows() || hidden->cols() != layer.hidden()) {
    throw BadArgument("kept activations do not fit the block");
  }
  for (const int32_t column : columns) {
    if (column < 0 || static_cast<size_t>(column) >= x->cols()) {
      throw BadArgument("a column outside the kept activations");
    }
  }
  return RunOn(
      info.Env(), context, [=, block = block] { ApplySite(layer, *x, columns, *hidden); }, Nothing);
}

// (engine, block, tensor, axis, Int32Array) -> Promise: keeps rows or columns
Napi::Value SliceBlock(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const TensorId id = GetTensorId(*block, info[2]);
  const auto axis = static_cast<int>(GetSize(info[3], "axis"));
  return RunOn(
      info.Env(), context,
      [=, indices = GetInt32Array(info[4], "indices")] { block->Slice(id, axis, indices); },
      Nothing);
}

// (engine, block, tensor, Float64Array) -> Promise
Napi::Value ScaleBlock(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const TensorId id = GetTensorId(*block, info[2]);
  const auto array = GetFloat64Array(info[3], "factors");
  std::vector<float> factors(array.Data(), array.Data() + array.ElementLength());
  return RunOn(
      info.Env(), context, [=, factors = std::move(factors)] { block->Scale(id, factors); },
      Nothing);
}

// (block, site, width): columns of its output map, after all slices
Napi::Value ResizeSite(const Info& info) {
  const auto block = GetHandle<Block>(info[0], "block");
  block->Resize(GetSite(block->spec(), info[1]), GetSize(info[2], "width"));
  return info.Env().Undefined();
}

// (engine, block, site) -> Promise
Napi::Value FinishSite(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const size_t site = GetSite(block->spec(), info[2]);
  return RunOn(info.Env(), context, [=] { block->Finish(site); }, Nothing);
}

Napi::Value BytesToJs(Napi::Env env, const std::vector<std::byte>& bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  std::copy_n(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), array.Data());
  return array;
}

// (block, tensor) -> [rows, cols] or null
Napi::Value BlockShape(const Info& info) {
  const auto block = GetHandle<Block>(info[0], "block");
  const TensorId id = GetTensorId(*block, info[1]);
  if (!block->has(id)) return info.Env().Null();
  Napi::Array shape = Napi::Array::New(info.Env(), 2);
  shape.Set(0u, static_cast<double>(block->shape(id).rows));
  shape.Set(1u, static_cast<double>(block->shape(id).cols));
  return shape;
}

// (engine, block, tensor, dtype, row, count, ropeHeads) -> Promise<Uint8Array>
Napi::Value EncodeBlock(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const TensorId id = GetTensorId(*block, info[2]);
  const Dtype dtype = GetDtype(info[3]);
  const size_t row = GetSize(info[4], "row"), count = GetSize(info[5], "count");
  const size_t rope_heads = GetSize(info[6], "ropeHeads");
  if (!block->has(id)) throw BadArgument("the block has no such tensor");
  auto bytes = std::make_shared<std::vector<std::byte>>();
  return RunOn(
      info.Env(), context, [=] { *bytes = block->Encode(id, dtype, row, count, rope_heads); },
      [bytes](Napi::Env env) { return BytesToJs(env, *bytes); });
}

// (Uint8Array): frees its bytes now; the array is empty afterwards. The garbage collector would let
// tens of MiB gather.
Napi::Value DropBytes(const Info& info) {
  if (!info[0].IsTypedArray()) throw BadArgument("bytes must be a typed array");
  Napi::ArrayBuffer buffer = info[0].As<Napi::TypedArray>().ArrayBuffer();
  if (!buffer.IsDetached()) buffer.Detach();
  return info.Env().Undefined();
}

// (engine, ref, files, dtype, row, count) -> Promise<Uint8Array>: rows of a tensor that is not in a
// block, encoded as dtype
Napi::Value EncodeTensor(const Info& info) {
  const auto context = EngineOf(info);
  Napi::Object refs = Napi::Object::New(info.Env());
  refs.Set("tensor", info[1]);
  const auto source = GetTensor(refs, "tensor", GetArray(info[2], "files"));
  if (!source) throw BadArgument("tensor must be an object");
  const Dtype dtype = GetDtype(info[3]);
  const size_t row = GetSize(info[4], "row"), count = GetSize(info[5], "count");
  if (row + count > source->rows) throw BadArgument("rows outside the tensor");
  auto bytes = std::make_shared<std::vector<std::byte>>();
  return RunOn(
      info.Env(), context,
      [=] {
        auto values = context->Allocate<float>(count * source->cols);
        LoadRows(*source, row, count, values.data());
        if (source->rows > 1 && source->dtype == dtype) {
          // Its very bytes, now that they are known to be numbers.
          const size_t row_bytes = RowBytes(*source);
          bytes->resize(count * row_bytes);
          source->file->Read(source->offset + row * row_bytes, *bytes);
          return;
        }
        *bytes = EncodeRows(values.data(), count, source->cols, dtype, 0, count, 0, source->name);
      },
      [bytes](Napi::Env env) { return BytesToJs(env, *bytes); });
}

// (spec, tensors, files) -> ends
Napi::Value CreateEnds(const Info& info) {
  return MakeHandle(info.Env(), std::make_shared<EndsSpec>(GetEndsSpec(
                                    GetObject(info[0], "spec"), GetObject(info[1], "tensors"),
                                    GetArray(info[2], "files"))));
}

// (engine, ends, ids, window, hidden) -> Promise
Napi::Value EmbedIds(const Info& info) {
  const auto context = EngineOf(info);
  const auto ends = GetHandle<EndsSpec>(info[1], "ends");
  const auto ids = GetInt32Array(info[2], "ids");
  const size_t window = GetSize(info[3], "window");
  const auto hidden = GetHandle<PagedMatrix>(info[4], "hidden");
  if (hidden->rows() != ids.size() || hidden->cols() != ends->hidden || window == 0) {
    throw BadArgument("hidden does not fit the ids");
  }
  return RunOn(info.Env(), context, [=] { Embed(*context, *ends, ids, window, *hidden); }, Nothing);
}

// (engine, ends, hidden, targets) -> Promise<{nll: Float64Array, best: Int32Array}>
Napi::Value Score(const Info& info) {
  const auto context = EngineOf(info);
  const auto ends = GetHandle<EndsSpec>(info[1], "ends");
  const auto hidden = GetHandle<PagedMatrix>(info[2], "hidden");
  const auto targets = GetInt32Array(info[3], "targets");
  if (hidden->cols() != ends->hidden) throw BadArgument("hidden has another width");
  if (targets.size() != hidden->rows()) throw BadArgument("one target a row");
  auto scores = std::make_shared<TokenScores>();
  return RunOn(
      info.Env(), context, [=] { *scores = ScoreTokens(*context, *ends, *hidden, targets); },
      [scores](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("nll", CopyToTyped<double, Napi::Float64Array>(env, scores->nll));
        result.Set("best", CopyToTyped<int32_t, Napi::Int32Array>(env, scores->best));
        return result;
      });
}

// (engine, ends, hidden, row, count) -> Promise<Float32Array[count * vocab]>
Napi::Value LogitsOf(const Info& info) {
  const auto context = EngineOf(info);
  const auto ends = GetHandle<EndsSpec>(info[1], "ends");
  const auto hidden = GetHandle<PagedMatrix>(info[2], "hidden");
  const size_t row = GetSize(info[3], "row"), count = GetSize(info[4], "count");
  if (hidden->cols() != ends->hidden) throw BadArgument("hidden has another width");
  if (row + count > hidden->rows()) throw BadArgument("rows outside the matrix");
  auto logits = std::make_shared<std::vector<float>>();
  return RunOn(
      info.Env(), context,
      [=] {
        logits->resize(count * ends->vocab);
        Logits(*context, *ends, *hidden, row, count, logits->data());
      },
      [logits](Napi::Env env) -> Napi::Value {
        return CopyToTyped<float, Napi::Float32Array>(env, *logits);
      });
}

}  // namespace

void InitEngine(Napi::Env env, Napi::Object exports) {
  KeepHeapSmall();
  InitialiseBlas();
  exports.Set("blas", BlasDescription());
  Export<CreateEngine>(env, exports, "createEngine");
  Export<SetCalibrating>(env, exports, "setCalibrating");
  Export<SetAbort>(env, exports, "setAbort");
  Export<MemoryOf>(env, exports, "memoryOf");
  Export<PeakRss>(env, exports, "peakRss");
  Export<LockFile>(env, exports, "lockFile");
  Export<Release>(env, exports, "release");
  Export<Free>(env, exports, "free");
  Export<MeasureGemm>(env, exports, "measureGemm");
  Export<OpenFile>(env, exports, "openFile");
  Export<SetRoom>(env, exports, "setRoom");
  Export<Expect>(env, exports, "expect");
  Export<GiveBack>(env, exports, "giveBack");
  Export<CreateStore>(env, exports, "createStore");
  Export<TrafficOf>(env, exports, "trafficOf");
  Export<CreateMatrix>(env, exports, "createMatrix");
  Export<MatrixRows>(env, exports, "matrixRows");
  Export<EnergyOf>(env, exports, "energyOf");
  Export<SetMatrixRows>(env, exports, "setMatrixRows");
  Export<MatrixShape>(env, exports, "matrixShape");
  Export<CopyMatrix>(env, exports, "copyMatrix");
  Export<CreateStatistics>(env, exports, "createStatistics");
  Export<GramRows>(env, exports, "gramRows");
  Export<ReadStatistics>(env, exports, "readStatistics");
  Export<LoadBlock>(env, exports, "loadBlock");
  Export<RunSiteOn>(env, exports, "runSite");
  Export<ApplySiteOn>(env, exports, "applySite");
  Export<SliceBlock>(env, exports, "sliceBlock");
  Export<ScaleBlock>(env, exports, "scaleBlock");
  Export<ResizeSite>(env, exports, "resizeSite");
  Export<FinishSite>(env, exports, "finishSite");
  Export<BlockShape>(env, exports, "blockShape");
  Export<EncodeBlock>(env, exports, "encodeBlock");
  Export<DropBytes>(env, exports, "dropBytes");
  Export<EncodeTensor>(env, exports, "encodeTensor");
  Export<CreateEnds>(env, exports, "createEnds");
  Export<EmbedIds>(env, exports, "embed");
  Export<Score>(env, exports, "score");
  Export<LogitsOf>(env, exports, "logits");
}

}  // namespace struprune::addon
