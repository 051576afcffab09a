// Where a block's FFN meets the solvers of its input weights: these go out as an FfnMap and come
// back.
#include "addon/ffn_addon.h"

#include "addon/handles.h"
#include "addon/solver_addon.h"
#include "core/paged_matrix.h"
#include "model/block.h"
#include "solver/auxiliary.h"
#include "solver/gauss_newton.h"
#include "tiles/strips.h"

namespace struprune::addon {
namespace {

using Info = Napi::CallbackInfo;

struct InputRole {
  Role weight, bias;
};
std::vector<InputRole> InputRoles(const Block& block) {
  if (!block.spec().gated) return {{Role::kUp, Role::kUpBias}};
  return {{Role::kGate, Role::kGateBias}, {Role::kUp, Role::kUpBias}};
}

// θ of a block; biases, where it has them, are the last column.
InputWeights InputWeightsOf(const Block& block) {
  const size_t width = block.spec().ffn, hidden = block.spec().hidden;
  const auto roles = InputRoles(block);
  const bool biased = block.has(roles[0].bias);
  InputWeights weights;
  for (const InputRole& role : roles) {
    if (block.has(role.bias) != biased) {
      throw Error("ERR_UNSUPPORTED", "gate has a bias and up has none, or the other way round",
                  "choose --ffn-solver output");
    }
    auto to = std::make_shared<PagedMatrix>(block.space().store, width, hidden + (biased ? 1 : 0),
                                            block.matrix(role.weight)->page_rows());
    block.EachStrip(role.weight, [&](size_t first, size_t count, const float* values) {
      const PagedMatrix::View strip(*to, first, count, PagedMatrix::Access::kWrite);
      for (size_t row = 0; row < count; ++row) {
        float* end = std::copy_n(values + row * hidden, hidden, strip.data() + row * to->cols());
        if (biased) *end = block.data(role.bias)[first + row];
      }
    });
    weights.push_back(std::move(to));
  }
  return weights;
}

void SetInputWeights(Block& block, const InputWeights& weights) {
  const size_t hidden = block.spec().hidden;
  const auto roles = InputRoles(block);
  const size_t inputs = hidden + (block.has(roles[0].bias) ? 1 : 0);
  if (weights.size() != roles.size()) throw BadArgument("the solver is of another kind of FFN");
  for (const auto& part : weights) {
    if (part->rows() != block.spec().ffn || part->cols() != inputs) {
      throw BadArgument("the solver is of a block of another shape");
    }
  }
  for (size_t part = 0; part < roles.size(); ++part) {
    const auto [weight, bias] = roles[part];
    std::vector<float> biases;
    block.Replace(weight, [&](size_t row, size_t count, float* to) {
      const PagedMatrix::View from(*weights[part], row, count, PagedMatrix::Access::kRead);
      const size_t cols = weights[part]->cols();
      for (size_t i = 0; i < count; ++i) {
        to = std::copy_n(from.data() + i * cols, hidden, to);
        if (cols > hidden) biases.push_back(from.data()[i * cols + hidden]);
      }
    });
    if (block.has(bias)) block.Replace(bias, biases);
  }
}

// The block's FFN with its own output map, or with that of a refit.
FfnMap MapOf(const Block& block, const Refit* refit) {
  const BlockSpec& spec = block.spec();
  if (refit &&
      (refit->weight.rows().size() != spec.hidden || refit->weight.cols().size() != spec.ffn ||
       (!refit->bias.empty() && refit->bias.size() != spec.hidden))) {
    throw BadArgument("the refit has another shape than the block's output map");
  }
  FfnMap map;
  map.activation = spec.activation;
  map.width = spec.ffn;
  map.outputs = spec.hidden;
  map.in = InputWeightsOf(block);
  map.inputs = map.in[0]->cols();
  PagedMatrix& own = *block.matrix(Role::kDown);
  map.down =
      std::make_shared<PagedMatrix>(block.space().store, map.outputs, map.width, own.page_rows());
  if (refit) {
    ToStrips(refit->weight, *map.down);
  } else {
    FillStrips(block.context(), *map.down,
               [&](size_t row, size_t count, float* values) { own.Read(row, count, values); });
  }
  const auto bias = refit && !refit->bias.empty() ? std::span<const float>(refit->bias)
                    : block.has(Role::kDownBias)  ? block.vector(Role::kDownBias)
                                                  : std::span<const float>();
  map.bias = block.context().Allocate<float>(bias.size());
  std::ranges::copy(bias, map.bias.data());
  return map;
}

FfnTokens GetTokens(const Napi::Value& inputs, const Napi::Value& targets) {
  return {GetHandle<PagedMatrix>(inputs, "inputs"), GetHandle<PagedMatrix>(targets, "targets")};
}

// (engine, block, inputs, targets, lambda, freezeBiases) -> Promise<a solver with the block's
// weights as its origin>
template <typename Solver>
Napi::Value CreateFfnSolver(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const FfnSolverOptions options = {GetNumber(info[4], "lambda"),
                                    GetBool(info[5], "freezeBiases") && block->has(Role::kUpBias)};
  const FfnTokens tokens = GetTokens(info[2], info[3]);
  auto solver = std::make_shared<std::shared_ptr<Solver>>();
  return RunOn(
      info.Env(), context,
      [=] {
        *solver = std::make_shared<Solver>(block->space(), InputWeightsOf(*block), tokens, options);
      },
      [solver](Napi::Env env) { return MakeHandle(env, *solver); });
}

// (engine, solver, block, refit, tokens, offset) -> Promise<relative error over those tokens>
Napi::Value Linearise(const Info& info) {
  const auto solver = GetHandle<GaussNewton>(info[1], "solver");
  const auto block = GetHandle<Block>(info[2], "block");
  const auto refit = GetRefit(info[3]);
  const size_t tokens = GetSize(info[4], "tokens"), offset = GetSize(info[5], "offset");
  auto error = std::make_shared<double>(0);
  return RunOn(
      info.Env(), EngineOf(info),
      [=] { *error = solver->Linearise(MapOf(*block, refit.get()), tokens, offset); },
      [error](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *error); },
      Purpose::kSearching);
}

// (engine, solver, last) -> Promise<{slope, curvature}>
Napi::Value NextDirection(const Info& info) {
  const auto solver = GetHandle<GaussNewton>(info[1], "solver");
  const bool last = GetBool(info[2], "last");
  auto line = std::make_shared<Direction>();
  return RunOn(
      info.Env(), EngineOf(info), [=] { *line = solver->NextDirection(last); },
      [line](Napi::Env env) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("slope", line->slope);
        object.Set("curvature", line->curvature);
        return object;
      },
      Purpose::kSearching);
}

// (engine, solver, step) -> Promise
Napi::Value Advance(const Info& info) {
  const auto solver = GetHandle<GaussNewton>(info[1], "solver");
  const double step = GetNumber(info[2], "step");
  return RunOn(info.Env(), EngineOf(info), [=] { solver->Advance(step); }, Nothing);
}

// (engine, solver, block, refit, tokens, offset) -> Promise
Napi::Value IterateAuxiliary(const Info& info) {
  const auto solver = GetHandle<Auxiliary>(info[1], "solver");
  const auto block = GetHandle<Block>(info[2], "block");
  const auto refit = GetRefit(info[3]);
  const size_t tokens = GetSize(info[4], "tokens"), offset = GetSize(info[5], "offset");
  return RunOn(
      info.Env(), EngineOf(info),
      [=] { solver->Iterate(MapOf(*block, refit.get()), tokens, offset); }, Nothing);
}

// (engine, solver, block, forth) -> Promise: the input weights that the solver led to become the
// block's, rounded, or those that it began at
template <typename Solver>
Napi::Value MoveInputs(const Info& info) {
  const auto solver = GetHandle<Solver>(info[1], "solver");
  const auto block = GetHandle<Block>(info[2], "block");
  const bool forth = GetBool(info[3], "forth");
  return RunOn(
      info.Env(), EngineOf(info),
      [=] { SetInputWeights(*block, forth ? solver->Moved() : solver->map().in); }, Nothing);
}

// (engine, block, inputs, targets, statistics) -> Promise: adds the hidden activations that the
// block makes of the inputs, and as residual what its output map misses of the targets
Napi::Value CollectHidden(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const FfnTokens tokens = GetTokens(info[2], info[3]);
  const auto statistics = GetHandle<Statistics>(info[4], "statistics");
  if (statistics->dim() != block->spec().ffn ||
      statistics->residual_dim() != block->spec().hidden) {
    throw BadArgument("statistics have another shape");
  }
  return RunOn(
      info.Env(), context,
      [=] {
        const FfnMap map = MapOf(*block, nullptr);
        CheckShapes(map, tokens);
        AddHidden(*context, map, tokens, *statistics);
      },
      Nothing);
}

}  // namespace

void InitFfn(Napi::Env env, Napi::Object exports) {
  Export<CreateFfnSolver<GaussNewton>>(env, exports, "createGaussNewton");
  Export<Linearise>(env, exports, "linearise");
  Export<NextDirection>(env, exports, "nextDirection");
  Export<Advance>(env, exports, "advanceAlong");
  Export<MoveInputs<GaussNewton>>(env, exports, "moveAlong");
  Export<CreateFfnSolver<Auxiliary>>(env, exports, "createAuxiliary");
  Export<IterateAuxiliary>(env, exports, "iterateAuxiliary");
  Export<MoveInputs<Auxiliary>>(env, exports, "moveAuxiliary");
  Export<CollectHidden>(env, exports, "collectHidden");
}

}  // namespace struprune::addon
