// A site's problem: what is asked of it, and how it is made of sums.
#include <string>
#include <utility>
#include <vector>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/refit_addon.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "core/paged_matrix.h"
#include "ops/gemm.h"
#include "solver/admm.h"
#include "solver/columns.h"
#include "solver/kept_costs.h"
#include "solver/site_of_block.h"
#include "solver/swap.h"
#include "solver/sweep.h"
#include "tiles/metric.h"
#include "tiles/statistics.h"
#include "tiles/strips.h"

namespace struprune::addon {
namespace {

using SharedProblem = std::shared_ptr<const SiteProblem>;

// An options object, or nothing.
class Options {
 public:
  explicit Options(const Napi::Value& value) {
    if (!value.IsUndefined()) object_ = GetObject(value, "options");
  }
  bool Flag(const char* name) const { return Has(name) && GetBool(object_.Get(name), name); }
  size_t Size(const char* name, size_t otherwise) const {
    return Has(name) ? GetSize(object_.Get(name), name) : otherwise;
  }
  double Number(const char* name, double otherwise) const {
    return Has(name) ? GetNumber(object_.Get(name), name) : otherwise;
  }
  Metric MetricOf(const char* name) const {
    if (!Has(name)) return Metric::kPlain;
    const std::string value = GetString(object_.Get(name), name);
    if (value == "fisher") return Metric::kFisher;
    if (value == "plain") return Metric::kPlain;
    throw BadArgument(std::string(name) + " must be 'plain' or 'fisher'");
  }
  bool Has(const char* name) const {
    return !object_.IsEmpty() && !object_.Get(name).IsUndefined();
  }
  Napi::Value Get(const char* name) const { return object_.Get(name); }

 private:
  Napi::Object object_;
};

SharedProblem ProblemOf(const Napi::CallbackInfo& info) {
  return GetHandle<const SiteProblem>(info[0], "solver");
}

// A job of the problem's engine; convert(env, result) makes the JavaScript value.
template <typename Compute, typename Convert>
Napi::Value RunOnProblem(const Napi::CallbackInfo& info, Compute compute, Convert convert) {
  const SharedProblem problem = ProblemOf(info);
  return ComputeOn(
      info.Env(), problem->space().context,
      [problem, compute = std::move(compute)] { return compute(problem); }, std::move(convert));
}

// `collect` runs on the worker thread. -> Promise<solver>
template <typename Collect>
Napi::Value MakeProblem(Napi::Env env, std::shared_ptr<Context> context, Collect collect) {
  return ComputeOn(
      env, std::move(context),
      [collect = std::move(collect)]() -> SharedProblem {
        return std::make_shared<SiteProblem>(collect());
      },
      MakeHandle<const SiteProblem>);
}

// (statistics, block, site, {lambda, group, metric: {matrix, row} | null}) -> Promise<solver>
Napi::Value CreateSolver(const Napi::CallbackInfo& info) {
  const auto statistics = GetHandle<Statistics>(info[0], "statistics");
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetSublayer(*block, info[2]);
  const auto options = GetObject(info[3], "options");
  const double lambda = GetNumber(options.Get("lambda"), "lambda");
  const size_t group = GetSize(options.Get("group"), "group");
  std::shared_ptr<PagedMatrix> metric;
  size_t metric_row = 0;
  if (options.Get("metric").IsObject()) {
    const auto place = options.Get("metric").As<Napi::Object>();
    metric = GetHandle<PagedMatrix>(place.Get("matrix"), "metric");
    metric_row = GetSize(place.Get("row"), "row");
    if (metric->cols() != layer.hidden() || metric_row + metric->cols() > metric->rows()) {
      throw BadArgument("the metric does not belong to the site");
    }
  }
  return MakeProblem(info.Env(), block->shared_context(), [=, block = block] {
    SiteInput input = SiteInputOf(layer, *statistics);
    if (metric) input.fisher = LoadMetric(statistics->space(), *metric, metric_row);
    input.lambda = lambda;
    input.group = group;
    return input;
  });
}

// (solver) -> {columnCount, groupCount, targetNormSq}
Napi::Value ReadSolver(const Napi::CallbackInfo& info) {
  const SharedProblem problem = ProblemOf(info);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("columnCount", static_cast<double>(problem->in()));
  result.Set("groupCount", static_cast<double>(problem->groups()));
  result.Set("targetNormSq", problem->target_norm_sq(Metric::kPlain));
  return result;
}

// (solver) -> Promise<{weightAbsMean, weightNormSq, weightShare, second, mean:
// Float64Array[columns]}>
Napi::Value SolverColumns(const Napi::CallbackInfo& info) {
  return RunOnProblem(
      info, [](const SharedProblem& problem) { return MeasureColumns(*problem); },
      [](Napi::Env env, const ColumnStatistics& columns) {
        Napi::Object object = ColumnsObject(env, columns.weight);
        object.Set("second", Doubles(env, columns.second));
        object.Set("mean", Doubles(env, columns.mean));
        return object;
      });
}

// (solver, mask, {bias}?) -> Promise<{removal, explained: Float64Array[groups], lambda,
// ridgeRaised}>
Napi::Value SolverCosts(const Napi::CallbackInfo& info) {
  const bool bias = Options(info[2]).Flag("bias");
  return RunOnProblem(
      info,
      [keep = GetMask(info[1]), bias](const SharedProblem& problem) {
        return MeasureKept(*problem, keep, bias);
      },
      [](Napi::Env env, const KeptCosts& costs) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("removal", Doubles(env, costs.removal));
        object.Set("explained", Doubles(env, costs.explained));
        SetRidge(object, costs.lambda, costs.ridge_raised);
        return object;
      });
}

// (solver, {bias, maxRemoved, selection, curve, costs}?) -> Promise<{order, cost, error, drift,
// refactorings, lambda, ridgeRaised}>
Napi::Value SolverSweep(const Napi::CallbackInfo& info) {
  const Options given(info[1]);
  SweepOptions options;
  options.bias = given.Flag("bias");
  options.max_removed = given.Size("maxRemoved", options.max_removed);
  options.selection = given.MetricOf("selection");
  options.curve = given.MetricOf("curve");
  if (given.Has("costs")) options.group_costs = GetDoubles(given.Get("costs"), "costs");
  return RunOnProblem(
      info, [options](const SharedProblem& problem) { return Sweep(*problem, options); },
      [](Napi::Env env, const SweepResult& result) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("order", Integers(env, result.order));
        object.Set("cost", Doubles(env, result.cost));
        object.Set("error", Doubles(env, result.error));
        object.Set("drift", result.drift);
        object.Set("refactorings", result.refactorings);
        SetRidge(object, result.lambda, result.ridge_raised);
        return object;
      });
}

// (solver, mask, {bias, stored}?) -> Promise<refit>
Napi::Value SolverRefit(const Napi::CallbackInfo& info) {
  const Options given(info[2]);
  const bool bias = given.Flag("bias");
  const Dtype stored = given.Has("stored") ? GetDtype(given.Get("stored")) : Dtype::F32;
  return RunOnProblem(
      info,
      [keep = GetMask(info[1]), bias, stored](const SharedProblem& problem) {
        return RefitKept(*problem, keep, bias, stored);
      },
      ToRefit);
}

// (solver, mask, {meanBias}?) -> Promise<refit>
Napi::Value SolverSlice(const Napi::CallbackInfo& info) {
  const bool mean_bias = Options(info[2]).Flag("meanBias");
  return RunOnProblem(
      info,
      [keep = GetMask(info[1]), mean_bias](const SharedProblem& problem) {
        return SliceKept(*problem, keep, mean_bias);
      },
      ToRefit);
}

// (solver, mask, {bias, metric, maxSwaps}?) -> Promise<{keep, swaps, before, after, settled,
// lambda, ridgeRaised}>
Napi::Value SolverSwap(const Napi::CallbackInfo& info) {
  const Options given(info[2]);
  SwapOptions options;
  options.bias = given.Flag("bias");
  options.metric = given.MetricOf("metric");
  options.max_swaps = given.Size("maxSwaps", options.max_swaps);
  return RunOnProblem(
      info,
      [keep = GetMask(info[1]), options](const SharedProblem& problem) {
        return SwapPass(*problem, keep, options);
      },
      [](Napi::Env env, const SwapResult& result) {
        std::vector<int32_t> swaps;
        for (const auto& [removed, taken] : result.swaps) {
          swaps.push_back(removed);
          swaps.push_back(taken);
        }
        Napi::Object object = Napi::Object::New(env);
        object.Set("keep", CopyTo<Napi::Uint8Array>(env, result.keep));
        object.Set("swaps", Integers(env, swaps));
        object.Set("before", result.before);
        object.Set("after", result.after);
        object.Set("settled", result.settled);
        SetRidge(object, result.lambda, result.ridge_raised);
        return object;
      });
}

// (solver, {bias}?) -> Promise<admm>
Napi::Value CreateAdmm(const Napi::CallbackInfo& info) {
  const bool bias = Options(info[1]).Flag("bias");
  return RunOnProblem(
      info,
      [bias](const SharedProblem& problem) { return std::make_shared<AdmmState>(problem, bias); },
      MakeHandle<AdmmState>);
}

// What JavaScript gave, before it is cut into tiles on the worker thread.
struct PlainSums {
  size_t in = 0, out = 0;
  std::vector<double> gram, cross, fisher;
  std::vector<float> weight;
  SiteInput rest;  // all but the matrices
};

PlainSums ReadSums(const Napi::Object& object) {
  const Options given(object);
  const auto doubles = [&](const char* name) {
    return given.Has(name) ? GetDoubles(given.Get(name), name) : std::vector<double>();
  };
  PlainSums sums;
  sums.in = given.Size("in", 0);
  sums.out = given.Size("out", 0);
  sums.gram = doubles("gram");
  sums.cross = doubles("cross");
  sums.fisher = doubles("fisher");
  sums.weight = GetFloats(given.Get("weight"), "weight");
  SiteInput& rest = sums.rest;
  rest.tokens = given.Number("tokens", 0);
  rest.sums = doubles("sums");
  if (given.Has("bias")) rest.bias = GetFloats(given.Get("bias"), "bias");
  rest.residual_sums = doubles("residualSums");
  rest.residual_norm_sq = given.Number("residualNormSq", 0);
  rest.lambda = given.Number("lambda", rest.lambda);
  rest.group = given.Size("groupSize", rest.group);
  return sums;
}

template <typename T>
std::shared_ptr<const TileMatrix<T>> InTiles(const TileSpace& space, const std::vector<T>& values,
                                             size_t rows, size_t cols, Shape shape,
                                             const char* what) {
  if (values.empty()) return nullptr;
  if (values.size() != rows * cols) {
    throw BadArgument(std::string(what) + " has another size than [" + std::to_string(rows) + ", " +
                      std::to_string(cols) + "]");
  }
  auto matrix = std::make_shared<TileMatrix<T>>(space, rows, cols, shape);
  WriteRows(*matrix, 0, rows, values.data());
  return matrix;
}

SiteInput InTiles(const TileSpace& space, const PlainSums& sums) {
  const size_t in = sums.in, out = sums.out;
  SiteInput input = sums.rest;
  input.gram = InTiles(space, sums.gram, in, in, Shape::kSymmetric, "the Gram matrix");
  input.weight = InTiles(space, sums.weight, out, in, Shape::kFull, "the weight");
  input.cross = InTiles(space, sums.cross, out, in, Shape::kFull, "the cross product");
  input.fisher = InTiles(space, sums.fisher, out, out, Shape::kSymmetric, "the Fisher matrix");
  return input;
}

// -> Promise<solver>, whose matrices lie in that space
Napi::Value SolveSums(Napi::Env env, const TileSpace& space, const Napi::Value& given) {
  auto sums = ReadSums(GetObject(given, "sums"));
  return MakeProblem(env, space.context,
                     [space, sums = std::move(sums)] { return InTiles(space, sums); });
}

// (store, sums) -> Promise<solver>
Napi::Value SolverOfSums(const Napi::CallbackInfo& info) {
  const auto store = GetHandle<PageStore>(info[0], "store");
  return SolveSums(info.Env(), {store->context(), store}, info[1]);
}

// (statistics, {out, weight, means: Float64Array[dim] | null, lambda, groupSize}) ->
// Promise<solver> of the sums, about the means where these are given
Napi::Value SolverOfStatistics(const Napi::CallbackInfo& info) {
  const auto statistics = GetHandle<Statistics>(info[0], "statistics");
  if (!statistics->has_gram()) throw BadArgument("the statistics have no Gram matrix");
  PlainSums sums = ReadSums(GetObject(info[1], "options"));
  sums.in = statistics->dim();
  const Napi::Value given = info[1].As<Napi::Object>().Get("means");
  std::vector<double> means;
  if (!given.IsNull()) means = GetDoubles(given, "means");
  if (!given.IsNull() && means.size() != sums.in) throw BadArgument("one mean a column");
  const TileSpace space = statistics->space();
  return MakeProblem(
      info.Env(), space.context, [=, sums = std::move(sums), means = std::move(means)] {
        SiteInput input = InTiles(space, sums);
        input.tokens = static_cast<double>(statistics->tokens());
        input.sums.assign(sums.in, 0.0);
        input.gram = means.empty() ? statistics->gram() : GramAbout(means, *statistics);
        return input;
      });
}

// (threads, memory, sums) -> Promise<solver> with an engine of its own: for tests and small uses
Napi::Value SolverFromSums(const Napi::CallbackInfo& info) {
  auto context = std::make_shared<Context>(GetThreads(info[0]), GetSize(info[1], "memory"));
  return SolveSums(info.Env(), InMemory(context), info[2]);
}

}  // namespace

void InitSolver(Napi::Env env, Napi::Object exports) {
  Export<CreateSolver>(env, exports, "createSolver");
  Export<SolverOfSums>(env, exports, "solverOfSums");
  Export<SolverOfStatistics>(env, exports, "solverOfStatistics");
  Export<SolverFromSums>(env, exports, "solverFromSums");
  Export<ReadSolver>(env, exports, "readSolver");
  Export<SolverColumns>(env, exports, "solverColumns");
  Export<SolverCosts>(env, exports, "solverCosts");
  Export<SolverSweep>(env, exports, "solverSweep");
  Export<SolverRefit>(env, exports, "solverRefit");
  Export<SolverSlice>(env, exports, "solverSlice");
  Export<SolverSwap>(env, exports, "solverSwap");
  Export<CreateAdmm>(env, exports, "createAdmm");
}

}  // namespace struprune::addon
