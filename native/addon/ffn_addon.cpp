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

// The FFN of a block, or the argument that names another sublayer.
Sublayer GetFfn(const Block& block, const Napi::Value& site) {
  const Sublayer layer = GetSublayer(block, site);
  if (!layer.ffn()) throw BadArgument("the site is no FFN");
  return layer;
}

struct InputParts {
  Part weight, bias;
};
std::vector<InputParts> InputsOf(const Sublayer& layer) {
  if (!layer.ffn()->gated) return {{Part::kUp, Part::kUpBias}};
  return {{Part::kGate, Part::kGateBias}, {Part::kUp, Part::kUpBias}};
}

// θ of a block; biases, where it has them, are the last column.
InputWeights InputWeightsOf(const Sublayer& layer) {
  const Block& block = layer.block();
  const size_t width = layer.width(), hidden = layer.hidden();
  const auto parts = InputsOf(layer);
  const bool biased = layer.has(parts[0].bias);
  InputWeights weights;
  for (const auto& [weight, bias] : parts) {
    if (layer.has(bias) != biased) {
      throw Error("ERR_UNSUPPORTED", "gate has a bias and up has none, or the other way round",
                  "choose --ffn-solver output");
    }
    auto to = std::make_shared<PagedMatrix>(block.space().store, width, hidden + (biased ? 1 : 0),
                                            layer.matrix(weight)->page_rows());
    const float* const ones = layer.data(bias);
    block.EachStrip({layer.index(), weight}, [&](size_t first, size_t count, const float* values) {
      const PagedMatrix::View strip(*to, first, count, PagedMatrix::Access::kWrite);
      for (size_t row = 0; row < count; ++row) {
        float* end = std::copy_n(values + row * hidden, hidden, strip.data() + row * to->cols());
        if (biased) *end = ones[first + row];
      }
    });
    weights.push_back(std::move(to));
  }
  return weights;
}

void SetInputWeights(Block& block, const Sublayer& layer, const InputWeights& weights) {
  const size_t hidden = layer.hidden();
  const auto parts = InputsOf(layer);
  const size_t inputs = hidden + (layer.has(parts[0].bias) ? 1 : 0);
  if (weights.size() != parts.size()) throw BadArgument("the solver is of another kind of FFN");
  for (const auto& part : weights) {
    if (part->rows() != layer.width() || part->cols() != inputs) {
      throw BadArgument("the solver is of a block of another shape");
    }
  }
  for (size_t part = 0; part < parts.size(); ++part) {
    const TensorId weight{layer.index(), parts[part].weight}, bias{layer.index(), parts[part].bias};
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

// The FFN with its own output map, or with that of a refit.
FfnMap MapOf(const Sublayer& layer, const Refit* refit) {
  const Block& block = layer.block();
  const size_t hidden = layer.hidden();
  if (refit &&
      (refit->weight.rows().size() != hidden || refit->weight.cols().size() != layer.width() ||
       (!refit->bias.empty() && refit->bias.size() != hidden))) {
    throw BadArgument("the refit has another shape than the block's output map");
  }
  FfnMap map;
  map.activation = layer.ffn()->activation;
  map.width = layer.width();
  map.outputs = hidden;
  map.in = InputWeightsOf(layer);
  map.inputs = map.in[0]->cols();
  PagedMatrix& own = *layer.matrix(Part::kOut);
  map.down =
      std::make_shared<PagedMatrix>(block.space().store, map.outputs, map.width, own.page_rows());
  if (refit) {
    ToStrips(refit->weight, *map.down);
  } else {
    FillStrips(block.context(), *map.down,
               [&](size_t row, size_t count, float* values) { own.Read(row, count, values); });
  }
  const auto bias = refit && !refit->bias.empty() ? std::span<const float>(refit->bias)
                    : layer.has(Part::kOutBias)   ? layer.vector(Part::kOutBias)
                                                  : std::span<const float>();
  map.bias = block.context().Allocate<float>(bias.size());
  std::ranges::copy(bias, map.bias.data());
  return map;
}

FfnTokens GetTokens(const Napi::Value& inputs, const Napi::Value& targets) {
  return {GetHandle<PagedMatrix>(inputs, "inputs"), GetHandle<PagedMatrix>(targets, "targets")};
}

// (engine, block, site, inputs, targets, lambda, freezeBiases) -> Promise<a solver with the block's
// weights as its origin>
template <typename Solver>
Napi::Value CreateFfnSolver(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetFfn(*block, info[2]);
  const FfnSolverOptions options = {GetNumber(info[5], "lambda"),
                                    GetBool(info[6], "freezeBiases") && layer.has(Part::kUpBias)};
  const FfnTokens tokens = GetTokens(info[3], info[4]);
  auto solver = std::make_shared<std::shared_ptr<Solver>>();
  return RunOn(
      info.Env(), context,
      [=, block = block] {
        *solver = std::make_shared<Solver>(block->space(), InputWeightsOf(layer), tokens, options);
      },
      [solver](Napi::Env env) { return MakeHandle(env, *solver); });
}

// (engine, solver, block, site, refit, tokens, offset) -> Promise<relative error over those tokens>
Napi::Value Linearise(const Info& info) {
  const auto solver = GetHandle<GaussNewton>(info[1], "solver");
  const auto block = GetHandle<Block>(info[2], "block");
  const Sublayer layer = GetFfn(*block, info[3]);
  const auto refit = GetRefit(info[4]);
  const size_t tokens = GetSize(info[5], "tokens"), offset = GetSize(info[6], "offset");
  auto error = std::make_shared<double>(0);
  return RunOn(
      info.Env(), EngineOf(info),
      [=, block = block] { *error = solver->Linearise(MapOf(layer, refit.get()), tokens, offset); },
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

// (engine, solver, block, site, refit, tokens, offset) -> Promise
Napi::Value IterateAuxiliary(const Info& info) {
  const auto solver = GetHandle<Auxiliary>(info[1], "solver");
  const auto block = GetHandle<Block>(info[2], "block");
  const Sublayer layer = GetFfn(*block, info[3]);
  const auto refit = GetRefit(info[4]);
  const size_t tokens = GetSize(info[5], "tokens"), offset = GetSize(info[6], "offset");
  return RunOn(
      info.Env(), EngineOf(info),
      [=, block = block] { solver->Iterate(MapOf(layer, refit.get()), tokens, offset); }, Nothing);
}

// (engine, solver, block, site, forth) -> Promise: the input weights that the solver led to become
// the block's, rounded, or those that it began at
template <typename Solver>
Napi::Value MoveInputs(const Info& info) {
  const auto solver = GetHandle<Solver>(info[1], "solver");
  const auto block = GetHandle<Block>(info[2], "block");
  const Sublayer layer = GetFfn(*block, info[3]);
  const bool forth = GetBool(info[4], "forth");
  return RunOn(
      info.Env(), EngineOf(info),
      [=] { SetInputWeights(*block, layer, forth ? solver->Moved() : solver->map().in); }, Nothing);
}

// (engine, block, site, inputs, targets, statistics) -> Promise: adds the hidden activations that
// the FFN makes of the inputs, and as residual what its output map misses of the targets
Napi::Value CollectHidden(const Info& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetFfn(*block, info[2]);
  const FfnTokens tokens = GetTokens(info[3], info[4]);
  const auto statistics = GetHandle<Statistics>(info[5], "statistics");
  if (statistics->dim() != layer.width() || statistics->residual_dim() != layer.hidden()) {
    throw BadArgument("statistics have another shape");
  }
  return RunOn(
      info.Env(), context,
      [=, block = block] {
        const FfnMap map = MapOf(layer, nullptr);
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
