// A loaded block: run forward and back, sliced, refitted, encoded.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "addon/addon.h"
#include "addon/ffn_arguments.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/refit_addon.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "model/backward.h"
#include "model/block.h"
#include "model/energy.h"
#include "model/expert_sums.h"
#include "model/expert_turn.h"
#include "model/forward.h"
#include "passes/ffn_pass.h"
#include "passes/site.h"
#include "solver/site_of_block.h"

namespace struprune::addon {
namespace {

std::shared_ptr<Block> BlockOf(const Napi::CallbackInfo& info) {
  return GetHandle<Block>(info[0], "block");
}

// The experts of a block. Throws ERR_ARGUMENT where the site is another sublayer.
Sublayer GetExperts(const Block& block, const Napi::Value& site) {
  const Sublayer layer = GetSublayer(block, site);
  if (!layer.experts()) throw BadArgument("the site has no experts");
  return layer;
}

// A matrix, or null where none is given.
std::shared_ptr<PagedMatrix> GetMatrix(const Napi::Object& options, const char* key) {
  const Napi::Value value = options.Get(key);
  if (value.IsUndefined() || value.IsNull()) return nullptr;
  return GetHandle<PagedMatrix>(value, key);
}

// A job of the block's engine.
Napi::Value RunOnBlock(const Napi::CallbackInfo& info, const Block& block,
                       std::function<void()> work) {
  return RunOn(info.Env(), block.shared_context(), std::move(work));
}

// (store, spec, tensors, files, stored) -> Promise<block>
Napi::Value LoadBlock(const Napi::CallbackInfo& info) {
  const auto store = GetHandle<PageStore>(info[0], "store");
  const auto spec = GetBlockSpec(info[1]);
  const auto sources =
      GetBlockTensors(spec, GetObject(info[2], "tensors"), GetArray(info[3], "files"));
  const Stored stored = GetStored(info[4]);
  const auto context = store->context();
  return ComputeOn(
      info.Env(), context,
      [=] { return std::make_shared<Block>(context, store, spec, sources, stored); },
      MakeHandle<Block>);
}

// (block, site, {purpose, window, hidden, advance, statistics?, keep?, inputs?, targets?,
// denseBefore?, denseAfter?, alpha, beta, repeats?: {collects, gram, feedback, inputs},
// firstRows?}) -> Promise
Napi::Value RunSiteOn(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const Sublayer layer = GetSublayer(*block, info[1]);
  const auto options = GetObject(info[2], "options");
  const auto matrix = [&](const char* key) { return GetMatrix(options, key); };
  const auto hidden = matrix("hidden"), keep = matrix("keep"), before = matrix("denseBefore"),
             after = matrix("denseAfter"), inputs = matrix("inputs"), targets = matrix("targets");
  const auto statistics = GetStatistics(options, "statistics");
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
      info.Env(), block->shared_context(),
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
      GetPurpose(options.Get("purpose")));
}

// (block, site, kept, columns | null, hidden, purpose) -> Promise
Napi::Value ApplySiteOn(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const Sublayer layer = GetSublayer(*block, info[1]);
  const auto x = GetHandle<PagedMatrix>(info[2], "kept");
  std::vector<int32_t> columns;
  if (!info[3].IsNull()) columns = GetIntegers(info[3], "columns");
  const auto hidden = GetHandle<PagedMatrix>(info[4], "hidden");
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
      info.Env(), block->shared_context(),
      [=, block = block] { ApplySite(layer, *x, columns, *hidden); }, GetPurpose(info[5]));
}

// What a backward pass sums beside, with what keeps the sums alive.
struct HeldSums {
  std::vector<GradientSums> sums;
  std::vector<std::shared_ptr<Statistics>> held;
  std::vector<std::shared_ptr<const LowRank>> changes;

  Statistics* Take(const Napi::Object& options, const std::string& key) {
    auto statistics = GetStatistics(options, key.c_str());
    if (statistics) held.push_back(statistics);
    return statistics.get();
  }
  const LowRank* TakeChange(Context& context, const Napi::Object& options) {
    const auto numbers = [&](const char* key) {
      const std::vector<float> given = GetFloats(options.Get(key), key);
      auto buffer = context.Allocate<float>(given.size());
      std::ranges::copy(given, buffer.data());
      return buffer;
    };
    changes.push_back(std::make_shared<const LowRank>(
        LowRank{GetSize(options.Get("rank"), "rank"), numbers("left"), numbers("right"),
                Take(options, "leftSums"), Take(options, "rightSums")}));
    return changes.back().get();
  }
};

// fn(sublayer, part, object of the tensor's name) for {[tensor]: …}, which may be undefined
template <typename Fn>
void EachTensor(const BlockSpec& spec, const Napi::Value& value, const char* what, Fn&& fn) {
  if (value.IsUndefined()) return;
  const auto by_name = GetObject(value, what);
  const Napi::Array names = by_name.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = GetString(names.Get(i), "name");
    const auto [sublayer, part] = TensorNamed(spec, name);
    fn(sublayer, static_cast<size_t>(part), by_name, name);
  }
}

// {sums?: {[site]: {output?, input?}}, factors?: {[tensor]: statistics}, changes?: {[tensor]:
// {rank, left, right, leftSums, rightSums}}}
HeldSums GetSums(const Block& block, const Napi::Object& options) {
  const BlockSpec& spec = block.spec();
  const Napi::Value by_site = options.Get("sums");
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
  EachTensor(spec, options.Get("factors"), "factors",
             [&](size_t sublayer, size_t part, const Napi::Object& by_name, const auto& name) {
               all.sums[sublayer].factors[part] = all.Take(by_name, name);
             });
  EachTensor(spec, options.Get("changes"), "changes",
             [&](size_t sublayer, size_t part, const Napi::Object& by_name, const auto& name) {
               all.sums[sublayer].changes[part] =
                   all.TakeChange(block.context(), GetObject(by_name.Get(name), "a change"));
             });
  return all;
}

// (block, {purpose, window, inputs, gradient, and what GetSums takes}) -> Promise
Napi::Value BackwardBlockOn(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const auto options = GetObject(info[1], "options");
  const size_t window = GetSize(options.Get("window"), "window");
  const auto inputs = GetHandle<PagedMatrix>(options.Get("inputs"), "inputs");
  const auto gradient = GetHandle<PagedMatrix>(options.Get("gradient"), "gradient");
  const HeldSums sums = GetSums(*block, options);
  return RunOn(
      info.Env(), block->shared_context(),
      [=] {
        const BackwardRun run{window, inputs.get(), gradient.get(), sums.sums};
        BackwardBlock(*block, run);
      },
      GetPurpose(options.Get("purpose")));
}

// (block, site, inputs, targets, statistics, purpose) -> Promise: adds the hidden activations that
// the FFN makes of the inputs, and as residual what its output map misses of the targets
Napi::Value CollectHidden(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const Sublayer layer = GetFfn(*block, info[1]);
  const FfnTokens tokens = GetTokens(info[2], info[3]);
  const auto statistics = GetHandle<Statistics>(info[4], "statistics");
  if (statistics->dim() != layer.width() || statistics->residual_dim() != layer.hidden()) {
    throw BadArgument("statistics have another shape");
  }
  return RunOn(
      info.Env(), block->shared_context(),
      [=, block = block] {
        const FfnMap map = MapOf(layer, nullptr);
        CheckShapes(map, tokens);
        AddHidden(block->context(), map, tokens, *statistics);
      },
      GetPurpose(info[5]));
}

// (block, site, {purpose, window, hidden, statistics, gone: Int32Array, residual?}) -> Promise:
// adds what each expert does for the output where those are gone
Napi::Value SumExpertsOf(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const Sublayer layer = GetExperts(*block, info[1]);
  const auto options = GetObject(info[2], "options");
  const size_t window = GetSize(options.Get("window"), "window");
  const auto hidden = GetHandle<PagedMatrix>(options.Get("hidden"), "hidden");
  const auto statistics = GetHandle<Statistics>(options.Get("statistics"), "statistics");
  const auto residual = GetMatrix(options, "residual");
  if (hidden->cols() != layer.hidden()) throw BadArgument("hidden has another width");
  if (window == 0 || hidden->rows() % window != 0) throw BadArgument("windows must be whole");
  std::vector<uint8_t> gone(layer.experts()->count);
  for (const int32_t expert : GetIntegers(options.Get("gone"), "gone")) {
    if (expert < 0 || static_cast<size_t>(expert) >= gone.size()) {
      throw BadArgument("an expert that is not there");
    }
    gone[static_cast<size_t>(expert)] = 1;
  }
  return RunOn(
      info.Env(), block->shared_context(),
      [=, block = block] { SumExperts(layer, window, *hidden, gone, *statistics, residual.get()); },
      GetPurpose(options.Get("purpose")));
}

// (block, site, {purpose, window, hidden, residual?, back?, out?, statistics?}) -> Promise
Napi::Value TurnExpertOf(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const Sublayer layer = GetExperts(*block, info[1]);
  const auto options = GetObject(info[2], "options");
  const auto hidden = GetHandle<PagedMatrix>(options.Get("hidden"), "hidden");
  const auto residual = GetMatrix(options, "residual");
  const auto statistics = GetStatistics(options, "statistics");
  const auto expert = [&](const char* key) -> std::optional<size_t> {
    if (options.Get(key).IsUndefined()) return std::nullopt;
    return GetSize(options.Get(key), key);
  };
  const ExpertTurn turn{.window = GetSize(options.Get("window"), "window"),
                        .hidden = hidden.get(),
                        .residual = residual.get(),
                        .back = expert("back"),
                        .out = expert("out"),
                        .statistics = statistics.get()};
  if (turn.window == 0 || hidden->rows() % turn.window != 0) {
    throw BadArgument("windows must be whole");
  }
  return RunOn(
      info.Env(), block->shared_context(),
      [=, block = block, kept = std::tuple(hidden, residual, statistics)] {
        TurnExpert(layer, turn);
      },
      GetPurpose(options.Get("purpose")));
}

// (block, site, Int32Array) -> Promise: keeps those experts
Napi::Value KeepExpertsOf(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const size_t site = GetExperts(*block, info[1]).index();
  return RunOnBlock(info, *block, [=, kept = GetIntegers(info[2], "experts")] {
    block->KeepExperts(site, kept);
  });
}

// (block, tensor, axis, Int32Array) -> Promise: keeps rows or columns
Napi::Value SliceBlock(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const TensorId id = GetTensorId(*block, info[1]);
  const auto axis = static_cast<int>(GetSize(info[2], "axis"));
  return RunOnBlock(info, *block, [=, indices = GetIntegers(info[3], "indices")] {
    block->Slice(id, axis, indices);
  });
}

// (block, tensor, Float64Array) -> Promise
Napi::Value ScaleBlock(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const TensorId id = GetTensorId(*block, info[1]);
  const auto given = GetDoubles(info[2], "factors");
  return RunOnBlock(info, *block, [=, factors = std::vector<float>(given.begin(), given.end())] {
    block->Scale(id, factors);
  });
}

// (block, tensor, rank, left, right: Float32Array) -> Promise: adds their product to a matrix
Napi::Value AddProductTo(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const TensorId id = GetTensorId(*block, info[1]);
  const size_t rank = GetSize(info[2], "rank");
  return RunOnBlock(info, *block,
                    [=, left = GetFloats(info[3], "left"), right = GetFloats(info[4], "right")] {
                      block->AddProduct(id, rank, left, right);
                    });
}

// (block, tensor) -> Promise<sum of all squares> of a matrix
Napi::Value EnergyOfTensor(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const TensorId id = GetTensorId(*block, info[1]);
  if (!block->matrix(id)) throw BadArgument("the block has no such matrix");
  const auto context = block->shared_context();
  return ComputeOn(
      info.Env(), context, [=] { return Energy(*context, *block->matrix(id)); }, Number);
}

// (block, site, width): columns of its output map, after all slices
Napi::Value ResizeSite(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  block->Resize(GetSite(block->spec(), info[1]), GetSize(info[2], "width"));
  return info.Env().Undefined();
}

// (block, site) -> Promise: rounds the output map and its bias to what is stored
Napi::Value FinishSite(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const size_t site = GetSite(block->spec(), info[1]);
  return RunOnBlock(info, *block, [=] { block->Finish(site); });
}

// (block, site, refit) -> Promise: the refit's weight and bias become the block's, not yet rounded
Napi::Value SetOutput(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const size_t site = GetSite(block->spec(), info[1]);
  const auto refit = GetRefit(info[2]);
  return RunOnBlock(info, *block, [=] { block->SetOutput(site, refit->weight, refit->bias); });
}

// (block, site, means: Float64Array[width]) -> Promise: adds W means to the output map's bias,
// made where there was none. Entries of columns that stay must be 0.
Napi::Value AddMeanBiasTo(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const size_t site = GetSite(block->spec(), info[1]);
  return RunOnBlock(info, *block, [=, means = GetDoubles(info[2], "means")] {
    AddMeanBias(*block, site, means);
  });
}

// (block, site) -> Promise<{weightAbsMean, weightNormSq, weightShare: Float64Array[width]}> of the
// output map's columns
Napi::Value OutputColumns(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const Sublayer layer = GetSublayer(*block, info[1]);
  return ComputeOn(
      info.Env(), block->shared_context(), [=, block = block] { return MeasureOutput(layer); },
      ColumnsObject);
}

// (block, tensor) -> [rows, cols] or null
Napi::Value BlockShape(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const TensorId id = GetTensorId(*block, info[1]);
  if (!block->has(id)) return info.Env().Null();
  Napi::Array shape = Napi::Array::New(info.Env(), 2);
  shape.Set(0u, static_cast<double>(block->shape(id).rows));
  shape.Set(1u, static_cast<double>(block->shape(id).cols));
  return shape;
}

// (block, tensor, dtype, row, count, ropeHeads) -> Promise<Uint8Array>
Napi::Value EncodeBlock(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const TensorId id = GetTensorId(*block, info[1]);
  const Dtype dtype = GetDtype(info[2]);
  const size_t row = GetSize(info[3], "row"), count = GetSize(info[4], "count");
  const size_t rope_heads = GetSize(info[5], "ropeHeads");
  if (!block->has(id)) throw BadArgument("the block has no such tensor");
  return ComputeOn(
      info.Env(), block->shared_context(),
      [=] { return block->Encode(id, dtype, row, count, rope_heads); }, Bytes);
}

// (block, tensor, dtype, column, count) -> Promise<Uint8Array>
Napi::Value EncodeColumns(const Napi::CallbackInfo& info) {
  const auto block = BlockOf(info);
  const TensorId id = GetTensorId(*block, info[1]);
  const Dtype dtype = GetDtype(info[2]);
  const size_t column = GetSize(info[3], "column"), count = GetSize(info[4], "count");
  if (!block->has(id)) throw BadArgument("the block has no such tensor");
  return ComputeOn(
      info.Env(), block->shared_context(),
      [=] { return block->EncodeColumns(id, dtype, column, count); }, Bytes);
}

}  // namespace

void InitBlock(Napi::Env env, Napi::Object exports) {
  Export<LoadBlock>(env, exports, "loadBlock");
  Export<RunSiteOn>(env, exports, "runSite");
  Export<ApplySiteOn>(env, exports, "applySite");
  Export<BackwardBlockOn>(env, exports, "backwardBlock");
  Export<CollectHidden>(env, exports, "collectHidden");
  Export<SumExpertsOf>(env, exports, "sumExperts");
  Export<TurnExpertOf>(env, exports, "turnExpert");
  Export<KeepExpertsOf>(env, exports, "keepExperts");
  Export<SliceBlock>(env, exports, "sliceBlock");
  Export<ScaleBlock>(env, exports, "scaleBlock");
  Export<AddProductTo>(env, exports, "addProduct");
  Export<EnergyOfTensor>(env, exports, "energyOfTensor");
  Export<ResizeSite>(env, exports, "resizeSite");
  Export<FinishSite>(env, exports, "finishSite");
  Export<SetOutput>(env, exports, "setOutput");
  Export<AddMeanBiasTo>(env, exports, "addMeanBias");
  Export<OutputColumns>(env, exports, "outputColumns");
  Export<BlockShape>(env, exports, "blockShape");
  Export<EncodeBlock>(env, exports, "encodeBlock");
  Export<EncodeColumns>(env, exports, "encodeColumns");
}

}  // namespace struprune::addon
