// What the solvers of an FFN's input weights are given.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/specs.h"
#include "model/block.h"
#include "passes/ffn_tokens.h"
#include "solver/ffn_of_block.h"
#include "solver/ffn_solver.h"

namespace struprune::addon {

// The FFN of a block. Throws ERR_ARGUMENT where the site is another sublayer.
inline Sublayer GetFfn(const Block& block, const Napi::Value& site) {
  const Sublayer layer = GetSublayer(block, site);
  if (!layer.ffn()) throw BadArgument("the site is no FFN");
  return layer;
}

inline FfnTokens GetTokens(const Napi::Value& inputs, const Napi::Value& targets) {
  return {GetHandle<PagedMatrix>(inputs, "inputs"), GetHandle<PagedMatrix>(targets, "targets")};
}

// (block, site, inputs, targets, lambda, freezeBiases) -> Promise<a solver with the block's weights
// as its origin>
template <typename Solver>
Napi::Value CreateFfnSolver(const Napi::CallbackInfo& info) {
  const auto block = GetHandle<Block>(info[0], "block");
  const Sublayer layer = GetFfn(*block, info[1]);
  const FfnTokens tokens = GetTokens(info[2], info[3]);
  const FfnSolverOptions options = {GetNumber(info[4], "lambda"),
                                    GetBool(info[5], "freezeBiases") && layer.has(Part::kUpBias)};
  return ComputeOn(
      info.Env(), block->shared_context(),
      [=, block = block] {
        return std::make_shared<Solver>(block->space(), InputWeightsOf(layer), tokens, options);
      },
      MakeHandle<Solver>);
}

// (solver, block, site, forth) -> Promise: the input weights that the solver led to become the
// block's, rounded, or those that it began at
template <typename Solver>
Napi::Value MoveInputs(const Napi::CallbackInfo& info) {
  const auto solver = GetHandle<Solver>(info[0], "solver");
  const auto block = GetHandle<Block>(info[1], "block");
  const Sublayer layer = GetFfn(*block, info[2]);
  const bool forth = GetBool(info[3], "forth");
  return RunOn(info.Env(), block->shared_context(),
               [=] { SetInputWeights(*block, layer, forth ? solver->Moved() : solver->map().in); });
}

}  // namespace struprune::addon
