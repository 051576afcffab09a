// One iteration of SparseLLM's auxiliary variables (arXiv 2402.17946) on the kept channels of an
// FFN (docs/method.md, section 7): every token gets the hidden activations p that its target would
// like, and the pre-activations z near its own that give them; gate and up are then fitted to z.
#pragma once

#include <utility>

#include "solver/ffn_solver.h"

namespace struprune {

// Of a solver from its making to its end, with the refits of the output map between its iterations.
Needs AuxiliaryNeeds(const Context& context, const FfnDemand& demand);

class Auxiliary : public FfnSolver {
 public:
  // Ridge on diag(XᵀX).
  Auxiliary(TileSpace space, InputWeights origin, FfnTokens tokens, FfnSolverOptions options)
      : FfnSolver(std::move(space), std::move(origin), std::move(tokens), options) {}

  // One iteration from `map` over about `count` tokens, as ChoosePages gives them. Throws
  // ERR_ARGUMENT, ERR_NUMERIC.
  void Iterate(FfnMap map, size_t count, size_t offset);

 private:
  void Fit(const PartSums& sums);
};

}  // namespace struprune
