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

std::shared_ptr<Context> Engine(const Info& info) { return GetHandle<Context>(info[0], "engine"); }

struct InputRole {
  Role weight, bias;
};
std::vector<InputRole> InputRoles(const Block& block) {
  if (!block.spec().gated) return {{Role::kUp, Role::kUpBias}};
  return {{Role::kGate, Role::kGateBias}, {Role::kUp, Role::kUpBias}};
}

// θ [parts * width, inputs] of a block; biases, where it has them, are the last column.
Buffer<float> InputWeights(const Block& block) {
  const size_t width = block.spec().ffn, hidden = block.spec().hidden;
  const auto roles = InputRoles(block);
  const bool biased = block.has(roles[0].bias);
  for (const InputRole& role : roles) {
    if (block.has(role.bias) == biased) continue;
    throw Error("ERR_UNSUPPORTED", "gate has a bias and up has none, or the other way round",
                "choose --ffn-solver output");
  }
  Buffer<float> weights =
      block.context().Allocate<float>(roles.size() * width * (hidden + (biased ? 1 : 0)));
  float* to = weights.data();
  for (const InputRole& role : roles) {
    block.EachStrip(role.weight, [&](size_t first, size_t count, const float* values) {
      for (size_t row = 0; row < count; ++row) {
        to = std::copy_n(values + row * hidden, hidden, to);
        if (biased) *to++ = block.data(role.bias)[first + row];
      }
    });
  }
  return weights;
}

void SetInputWeights(Block& block, const Buffer<float>& weights) {
  const size_t width = block.spec().ffn, hidden = block.spec().hidden;
  std::span<const float> from = weights.span();
  for (const InputRole& role : InputRoles(block)) {
    const size_t stride = hidden + (block.has(role.bias) ? 1 : 0);
    if (from.size() < width * stride) throw Error("ERR_ARGUMENT", "the FFN has another width");
    block.Replace(role.weight, from, stride);
    if (block.has(role.bias)) block.Replace(role.bias, from.subspan(hidden), stride);
    from = from.subspan(width * stride);
  }
}

Buffer<float> CopyOf(Context& context, std::span<const float> values) {
  Buffer<float> copy = context.Allocate<float>(values.size());
  std::copy(values.begin(), values.end(), copy.data());
  return copy;
}

// The block's FFN with its own output map, or with that of a refit.
FfnMap MapOf(const Block& block, const Refit* refit) {
  const BlockSpec& spec = block.spec();
  Context& context = block.context();
  FfnMap map;
  map.activation = spec.activation;
  map.parts = InputRoles(block).size();
  map.width = spec.ffn;
  map.outputs = spec.hidden;
  map.in = InputWeights(block);
  map.inputs = map.in.size() / map.rows();
  map.down = context.Allocate<float>(map.outputs * map.width);
  if (refit) {
    ReadRows(refit->weight, 0, map.outputs, map.down.data());
  } else if (map.width > 0) {
    block.matrix(Role::kDown)->Read(0, map.outputs, map.down.data());
  }
  if (refit && !refit->bias.empty()) {
    map.bias = CopyOf(context, refit->bias);
  } else if (block.has(Role::kDownBias)) {
    map.bias = CopyOf(context, block.vector(Role::kDownBias));
  }
  return map;
}

FfnTokens GetTokens(const Napi::Value& inputs, const Napi::Value& targets) {
  return {GetHandle<PagedMatrix>(inputs, "inputs"), GetHandle<PagedMatrix>(targets, "targets")};
}

// (engine, block, inputs, targets, lambda, freezeBiases) -> Promise<a solver with the block's
// weights as its origin>
template <typename Solver>
Napi::Value CreateSolver(const Info& info) {
  const auto context = Engine(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const FfnSolverOptions options = {GetNumber(info[4], "lambda"),
                                    GetBool(info[5], "freezeBiases") && block->has(Role::kUpBias)};
  const FfnTokens tokens = GetTokens(info[2], info[3]);
  auto solver = std::make_shared<std::shared_ptr<Solver>>();
  return RunOn(
      info.Env(), context,
      [=] { *solver = std::make_shared<Solver>(context, InputWeights(*block), tokens, options); },
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
      info.Env(), Engine(info),
      [=] { *error = solver->Linearise(MapOf(*block, refit.get()), tokens, offset); },
      [error](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *error); });
}

// (engine, solver, last) -> Promise<{slope, curvature}>
Napi::Value NextDirection(const Info& info) {
  const auto solver = GetHandle<GaussNewton>(info[1], "solver");
  const bool last = GetBool(info[2], "last");
  auto line = std::make_shared<Direction>();
  return RunOn(
      info.Env(), Engine(info), [=] { *line = solver->NextDirection(last); },
      [line](Napi::Env env) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("slope", line->slope);
        object.Set("curvature", line->curvature);
        return object;
      });
}

// (engine, solver, step) -> Promise
Napi::Value Advance(const Info& info) {
  const auto solver = GetHandle<GaussNewton>(info[1], "solver");
  const double step = GetNumber(info[2], "step");
  return RunOn(info.Env(), Engine(info), [=] { solver->Advance(step); }, Nothing);
}

// (engine, solver, block, refit, tokens, offset) -> Promise
Napi::Value IterateAuxiliary(const Info& info) {
  const auto solver = GetHandle<Auxiliary>(info[1], "solver");
  const auto block = GetHandle<Block>(info[2], "block");
  const auto refit = GetRefit(info[3]);
  const size_t tokens = GetSize(info[4], "tokens"), offset = GetSize(info[5], "offset");
  return RunOn(
      info.Env(), Engine(info),
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
      info.Env(), Engine(info),
      [=] {
        SetInputWeights(
            *block, forth ? solver->Moved() : CopyOf(block->context(), solver->map().in.span()));
      },
      Nothing);
}

// (engine, block, inputs, targets, statistics) -> Promise: adds the hidden activations that the
// block makes of the inputs, and as residual what its output map misses of the targets
Napi::Value CollectHidden(const Info& info) {
  const auto context = Engine(info);
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
  Export<CreateSolver<GaussNewton>>(env, exports, "createGaussNewton");
  Export<Linearise>(env, exports, "linearise");
  Export<NextDirection>(env, exports, "nextDirection");
  Export<Advance>(env, exports, "advanceAlong");
  Export<MoveInputs<GaussNewton>>(env, exports, "moveAlong");
  Export<CreateSolver<Auxiliary>>(env, exports, "createAuxiliary");
  Export<IterateAuxiliary>(env, exports, "iterateAuxiliary");
  Export<MoveInputs<Auxiliary>>(env, exports, "moveAuxiliary");
  Export<CollectHidden>(env, exports, "collectHidden");
}

}  // namespace struprune::addon
