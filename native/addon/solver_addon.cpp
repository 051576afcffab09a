#include "addon/solver_addon.h"

#include <utility>

#include "addon/arguments.h"
#include "addon/constructors.h"
#include "addon/guard.h"
#include "addon/handles.h"
#include "addon/specs.h"
#include "ops/gemm.h"
#include "solver/admm.h"
#include "solver/columns.h"
#include "solver/kept_costs.h"
#include "solver/swap.h"
#include "solver/sweep.h"
#include "tiles/strips.h"

namespace struprune::addon {
namespace {

using SharedProblem = std::shared_ptr<const SiteProblem>;

// What a handle points to, or ERR_ARGUMENT once it was released.
template <typename T>
const std::shared_ptr<T>& Held(const std::shared_ptr<T>& handle) {
  if (!handle) throw BadArgument("this object was released");
  return handle;
}

// What a class's JavaScript constructor was given: a handle that nothing but the engine has.
template <typename T>
std::shared_ptr<T> Receive(const Napi::CallbackInfo& info) {
  try {
    auto object = GetHandle<T>(info[0], "made by the engine, not by new: what it is made of");
    // The handle lives until the garbage collector comes: release() of the object must free.
    GetHandleBase(info[0], "").Release();
    return object;
  } catch (...) {
    throw ToJsError(info.Env(), FromCurrentException());
  }
}

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

template <typename T, typename Array>
std::vector<T> Copy(const Napi::Value& value, napi_typedarray_type type, const std::string& what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throw BadArgument(what + " is a typed array of another kind");
  }
  const auto array = value.As<Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::vector<uint8_t> GetMask(const Napi::Value& value) {
  return Copy<uint8_t, Napi::Uint8Array>(value, napi_uint8_array, "the mask");
}
std::vector<double> GetDoubles(const Napi::Value& value, const std::string& what) {
  return Copy<double, Napi::Float64Array>(value, napi_float64_array, what);
}
std::vector<float> GetFloats(const Napi::Value& value, const std::string& what) {
  return Copy<float, Napi::Float32Array>(value, napi_float32_array, what);
}

Napi::Value Doubles(Napi::Env env, const std::vector<double>& values) {
  return CopyToTyped<double, Napi::Float64Array>(env, values);
}
Napi::Value Integers(Napi::Env env, const std::vector<int32_t>& values) {
  return CopyToTyped<int32_t, Napi::Int32Array>(env, values);
}

void SetRidge(Napi::Object object, double lambda, int raised) {
  object.Set("lambda", lambda);
  object.Set("ridgeRaised", raised);
}

// Runs compute() as a job of the context's engine; finish(env, result) makes the JavaScript value.
template <typename Compute, typename Convert>
Napi::Value Async(Napi::Env env, std::shared_ptr<Context> context, Compute compute,
                  Convert convert) {
  using Result = decltype(compute());
  auto result = std::make_shared<std::optional<Result>>();
  return RunOn(
      env, std::move(context),
      [result, compute = std::move(compute)] { result->emplace(compute()); },
      [result, convert = std::move(convert)](Napi::Env main) -> Napi::Value {
        return convert(main, std::move(**result));
      });
}

class RefitObject : public Napi::ObjectWrap<RefitObject> {
 public:
  static void Define(Napi::Env env) {
    Constructors::Set(env, "Refit",
                      DefineClass(env, "Refit",
                                  {InstanceAccessor<&RefitObject::Error>("error"),
                                   InstanceAccessor<&RefitObject::RelativeError>("relativeError"),
                                   InstanceAccessor<&RefitObject::FisherLoss>("fisherLoss"),
                                   InstanceAccessor<&RefitObject::Kept>("kept"),
                                   InstanceAccessor<&RefitObject::HasBias>("hasBias"),
                                   InstanceAccessor<&RefitObject::Lambda>("lambda"),
                                   InstanceAccessor<&RefitObject::RidgeRaised>("ridgeRaised"),
                                   InstanceMethod<&RefitObject::Weight>("weight"),
                                   InstanceMethod<&RefitObject::Bias>("bias"),
                                   InstanceMethod<&RefitObject::Release>("release")}));
  }
  explicit RefitObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<RefitObject>(info), refit_(Receive<const Refit>(info)) {
    Value().TypeTag(&kTag);
  }
  static std::shared_ptr<const Refit> From(const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
      throw BadArgument("a Refit was expected");
    }
    return Held(Unwrap(value.As<Napi::Object>())->refit_);
  }

 private:
  static constexpr napi_type_tag kTag = {0x8d1f2c6e5b7a4903, 0xa6e04cf1937b28d5};

  Napi::Value Error(const Napi::CallbackInfo& info) {
    return Read(info, [](Napi::Env env, const Refit& refit) { return Number(env, refit.error); });
  }
  Napi::Value RelativeError(const Napi::CallbackInfo& info) {
    return Read(
        info, [](Napi::Env env, const Refit& refit) { return Number(env, refit.relative_error); });
  }
  Napi::Value FisherLoss(const Napi::CallbackInfo& info) {
    return Read(info, [](Napi::Env env, const Refit& refit) {
      return refit.fisher_loss ? Number(env, *refit.fisher_loss) : env.Null();
    });
  }
  Napi::Value Kept(const Napi::CallbackInfo& info) {
    return Read(info, [](Napi::Env env, const Refit& refit) { return Integers(env, refit.kept); });
  }
  Napi::Value HasBias(const Napi::CallbackInfo& info) {
    return Read(info, [](Napi::Env env, const Refit& refit) -> Napi::Value {
      return Napi::Boolean::New(env, !refit.bias.empty());
    });
  }
  Napi::Value Lambda(const Napi::CallbackInfo& info) {
    return Read(info, [](Napi::Env env, const Refit& refit) { return Number(env, refit.lambda); });
  }
  Napi::Value RidgeRaised(const Napi::CallbackInfo& info) {
    return Read(info,
                [](Napi::Env env, const Refit& refit) { return Number(env, refit.ridge_raised); });
  }
  Napi::Value Weight(const Napi::CallbackInfo& info) {
    return Read(info, [](Napi::Env env, const Refit& refit) {
      const size_t rows = refit.weight.rows().size();
      auto values = Napi::Float32Array::New(env, rows * refit.weight.cols().size());
      ReadRows(refit.weight, 0, rows, values.Data());
      return values;
    });
  }
  Napi::Value Bias(const Napi::CallbackInfo& info) {
    return Read(info, [](Napi::Env env, const Refit& refit) {
      return refit.bias.empty() ? env.Null()
                                : CopyToTyped<float, Napi::Float32Array>(env, refit.bias);
    });
  }
  Napi::Value Release(const Napi::CallbackInfo& info) {
    refit_.reset();
    return info.Env().Undefined();
  }

  template <typename Reader>
  Napi::Value Read(const Napi::CallbackInfo& info, Reader reader) {
    return Guard(info, [&] { return reader(info.Env(), *Held(refit_)); });
  }
  static Napi::Value Number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

  std::shared_ptr<const Refit> refit_;
};

Napi::Value ToRefit(Napi::Env env, Refit refit) {
  std::shared_ptr<const Refit> shared = std::make_shared<Refit>(std::move(refit));
  return Constructors::New(env, "Refit", {MakeHandle(env, std::move(shared))});
}

class AdmmObject : public Napi::ObjectWrap<AdmmObject> {
 public:
  static void Define(Napi::Env env) {
    Constructors::Set(env, "Admm",
                      DefineClass(env, "Admm",
                                  {InstanceMethod<&AdmmObject::SetRho>("setRho"),
                                   InstanceMethod<&AdmmObject::Solve>("solve"),
                                   InstanceMethod<&AdmmObject::GroupEnergies>("groupEnergies"),
                                   InstanceMethod<&AdmmObject::Project>("project"),
                                   InstanceMethod<&AdmmObject::UpdateDual>("updateDual"),
                                   InstanceMethod<&AdmmObject::Release>("release"),
                                   InstanceAccessor<&AdmmObject::Lambda>("lambda"),
                                   InstanceAccessor<&AdmmObject::RidgeRaised>("ridgeRaised")}));
  }
  explicit AdmmObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<AdmmObject>(info), state_(Receive<AdmmState>(info)) {}

 private:
  Napi::Value SetRho(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      const double rho = GetNumber(info[0], "rho");
      return Run(info, [rho](AdmmState& state) { state.SetRho(rho); });
    });
  }
  Napi::Value Solve(const Napi::CallbackInfo& info) {
    return Guard(info, [&] { return Run(info, [](AdmmState& state) { state.Solve(); }); });
  }
  Napi::Value Project(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      return Run(info, [keep = GetMask(info[0])](AdmmState& state) { state.Project(keep); });
    });
  }
  Napi::Value GroupEnergies(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      return Job(info, [](AdmmState& state) { return state.GroupEnergies(); }, Doubles);
    });
  }
  Napi::Value UpdateDual(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      return Job(
          info, [](AdmmState& state) { return state.UpdateDual(); },
          [](Napi::Env env, const AdmmState::Residuals& residuals) {
            auto object = Napi::Object::New(env);
            object.Set("primal", residuals.primal);
            object.Set("dual", residuals.dual);
            object.Set("weightNorm", residuals.weight_norm);
            object.Set("targetNorm", residuals.target_norm);
            object.Set("dualNorm", residuals.dual_norm);
            return object;
          });
    });
  }
  Napi::Value Lambda(const Napi::CallbackInfo& info) {
    return Guard(info, [&] { return Napi::Number::New(info.Env(), Held(state_)->lambda()); });
  }
  Napi::Value RidgeRaised(const Napi::CallbackInfo& info) {
    return Guard(info, [&] { return Napi::Number::New(info.Env(), Held(state_)->ridge_raised()); });
  }
  Napi::Value Release(const Napi::CallbackInfo& info) {
    state_.reset();
    return info.Env().Undefined();
  }

  template <typename Step>
  Napi::Value Run(const Napi::CallbackInfo& info, Step step) {
    return RunOn(
        info.Env(), Held(state_)->site().space().context,
        [state = state_, step = std::move(step)] { step(*state); }, Nothing);
  }
  template <typename Compute, typename Convert>
  Napi::Value Job(const Napi::CallbackInfo& info, Compute compute, Convert convert) {
    return Async(
        info.Env(), Held(state_)->site().space().context,
        [state = state_, compute = std::move(compute)] { return compute(*state); },
        std::move(convert));
  }

  std::shared_ptr<AdmmState> state_;
};

class SolverObject : public Napi::ObjectWrap<SolverObject> {
 public:
  static void Define(Napi::Env env) {
    Constructors::Set(env, "Solver",
                      DefineClass(env, "Solver",
                                  {InstanceAccessor<&SolverObject::ColumnCount>("columnCount"),
                                   InstanceAccessor<&SolverObject::GroupCount>("groupCount"),
                                   InstanceAccessor<&SolverObject::TargetNormSq>("targetNormSq"),
                                   InstanceMethod<&SolverObject::Columns>("columns"),
                                   InstanceMethod<&SolverObject::Costs>("costs"),
                                   InstanceMethod<&SolverObject::Sweep>("sweep"),
                                   InstanceMethod<&SolverObject::RefitMask>("refit"),
                                   InstanceMethod<&SolverObject::Slice>("slice"),
                                   InstanceMethod<&SolverObject::Swap>("swap"),
                                   InstanceMethod<&SolverObject::Admm>("admm"),
                                   InstanceMethod<&SolverObject::Release>("release")}));
  }
  explicit SolverObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SolverObject>(info), problem_(Receive<const SiteProblem>(info)) {}

 private:
  Napi::Value ColumnCount(const Napi::CallbackInfo& info) { return Count(info, &SiteProblem::in); }
  Napi::Value GroupCount(const Napi::CallbackInfo& info) {
    return Count(info, &SiteProblem::groups);
  }
  Napi::Value TargetNormSq(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      return Napi::Number::New(info.Env(), Held(problem_)->target_norm_sq(Metric::kPlain));
    });
  }
  Napi::Value Count(const Napi::CallbackInfo& info, size_t (SiteProblem::*count)() const) {
    return Guard(info, [&] {
      return Napi::Number::New(info.Env(), static_cast<double>((*Held(problem_).*count)()));
    });
  }
  Napi::Value Release(const Napi::CallbackInfo& info) {
    problem_.reset();
    return info.Env().Undefined();
  }

  Napi::Value Columns(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      return Job(
          info, [](const SharedProblem& problem) { return MeasureColumns(*problem); },
          [](Napi::Env env, const ColumnStatistics& columns) {
            auto object = Napi::Object::New(env);
            object.Set("weightAbsMean", Doubles(env, columns.weight.abs_mean));
            object.Set("weightNormSq", Doubles(env, columns.weight.norm_sq));
            object.Set("second", Doubles(env, columns.second));
            object.Set("mean", Doubles(env, columns.mean));
            return object;
          });
    });
  }

  Napi::Value Costs(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      const bool bias = Options(info[1]).Flag("bias");
      return Job(
          info,
          [keep = GetMask(info[0]), bias](const SharedProblem& problem) {
            return MeasureKept(*problem, keep, bias);
          },
          [](Napi::Env env, const KeptCosts& costs) {
            auto object = Napi::Object::New(env);
            object.Set("removal", Doubles(env, costs.removal));
            object.Set("explained", Doubles(env, costs.explained));
            SetRidge(object, costs.lambda, costs.ridge_raised);
            return object;
          });
    });
  }

  Napi::Value Sweep(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      const Options given(info[0]);
      SweepOptions options;
      options.bias = given.Flag("bias");
      options.max_removed = given.Size("maxRemoved", options.max_removed);
      options.selection = given.MetricOf("selection");
      options.curve = given.MetricOf("curve");
      if (given.Has("costs")) options.group_costs = GetDoubles(given.Get("costs"), "costs");
      return Job(
          info,
          [options](const SharedProblem& problem) { return struprune::Sweep(*problem, options); },
          [](Napi::Env env, const SweepResult& result) {
            auto object = Napi::Object::New(env);
            object.Set("order", Integers(env, result.order));
            object.Set("cost", Doubles(env, result.cost));
            object.Set("error", Doubles(env, result.error));
            object.Set("drift", result.drift);
            object.Set("refactorings", result.refactorings);
            SetRidge(object, result.lambda, result.ridge_raised);
            return object;
          });
    });
  }

  Napi::Value RefitMask(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      const Options given(info[1]);
      const bool bias = given.Flag("bias");
      const Dtype stored = given.Has("stored") ? GetDtype(given.Get("stored")) : Dtype::F32;
      return Job(
          info,
          [keep = GetMask(info[0]), bias, stored](const SharedProblem& problem) {
            return RefitKept(*problem, keep, bias, stored);
          },
          ToRefit);
    });
  }

  Napi::Value Slice(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      const bool mean_bias = Options(info[1]).Flag("meanBias");
      return Job(
          info,
          [keep = GetMask(info[0]), mean_bias](const SharedProblem& problem) {
            return SliceKept(*problem, keep, mean_bias);
          },
          ToRefit);
    });
  }

  Napi::Value Swap(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      const Options given(info[1]);
      SwapOptions options;
      options.bias = given.Flag("bias");
      options.metric = given.MetricOf("metric");
      options.max_swaps = given.Size("maxSwaps", options.max_swaps);
      return Job(
          info,
          [keep = GetMask(info[0]), options](const SharedProblem& problem) {
            return SwapPass(*problem, keep, options);
          },
          [](Napi::Env env, const SwapResult& result) {
            std::vector<int32_t> swaps;
            for (const auto& [removed, taken] : result.swaps) {
              swaps.push_back(removed);
              swaps.push_back(taken);
            }
            auto object = Napi::Object::New(env);
            object.Set("keep", CopyToTyped<uint8_t, Napi::Uint8Array>(env, result.keep));
            object.Set("swaps", Integers(env, swaps));
            object.Set("before", result.before);
            object.Set("after", result.after);
            object.Set("settled", result.settled);
            SetRidge(object, result.lambda, result.ridge_raised);
            return object;
          });
    });
  }

  Napi::Value Admm(const Napi::CallbackInfo& info) {
    return Guard(info, [&] {
      const bool bias = Options(info[0]).Flag("bias");
      return Job(
          info,
          [bias](const SharedProblem& problem) {
            return std::make_shared<AdmmState>(problem, bias);
          },
          [](Napi::Env env, std::shared_ptr<AdmmState> state) -> Napi::Value {
            return Constructors::New(env, "Admm", {MakeHandle(env, std::move(state))});
          });
    });
  }

  // A job of the engine on the problem, which stays alive until it is done.
  template <typename Compute, typename Convert>
  Napi::Value Job(const Napi::CallbackInfo& info, Compute compute, Convert convert) {
    const SharedProblem problem = Held(problem_);
    return Async(
        info.Env(), problem->space().context,
        [problem, compute = std::move(compute)] { return compute(problem); }, std::move(convert));
  }

  SharedProblem problem_;
};

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

Napi::Value SolverFromSums(const Napi::CallbackInfo& info) {
  return Guard(info, [&] {
    InitialiseBlas();
    auto context = std::make_shared<Context>(GetThreads(info[0]), GetSize(info[1], "memory"));
    auto sums = ReadSums(GetObject(info[2], "sums"));
    return CreateSolver(info.Env(), context, [space = InMemory(context), sums = std::move(sums)] {
      return InTiles(space, sums);
    });
  });
}

}  // namespace

void InitSolver(Napi::Env env, Napi::Object exports) {
  RefitObject::Define(env);
  AdmmObject::Define(env);
  SolverObject::Define(env);
  exports.Set("solverFromSums", Napi::Function::New<SolverFromSums>(env, "solverFromSums"));
}

Napi::Value CreateSolver(Napi::Env env, std::shared_ptr<Context> context,
                         std::function<SiteInput()> collect) {
  return Async(
      env, context,
      [collect = std::move(collect)]() -> SharedProblem {
        return std::make_shared<SiteProblem>(collect());
      },
      [](Napi::Env main, SharedProblem problem) -> Napi::Value {
        return Constructors::New(main, "Solver", {MakeHandle(main, std::move(problem))});
      });
}

std::shared_ptr<const Refit> GetRefit(const Napi::Value& value) { return RefitObject::From(value); }

}  // namespace struprune::addon
