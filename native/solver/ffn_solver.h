// What the solvers of an FFN's input weights θ have in common: they begin at the weights of an FFN
// as it is, pull towards the model's own, and end in a change of them. All matrices lie in the page
// store of a tile space; what a pass over the tokens holds is in memory beside them.
#pragma once

#include <vector>

#include "solver/ffn_pass.h"

namespace struprune {

struct FfnSolverOptions {
  double lambda = 0.05;      // ridge towards the model's own weights, by the solver's own measure
  bool freeze_last = false;  // the weights of the last column of X, which are biases, stay
};

// [width, inputs] a part of the input weights.
using PartTiles = std::vector<TileMatrix<double>>;

class FfnSolver {
 public:
  // Of the round: where it began, and θ + δ, the input weights that it led to.
  const FfnMap& map() const { return map_; }
  InputWeights Moved() const;

 protected:
  // origin = θ₀, the model's own input weights.
  FfnSolver(TileSpace space, InputWeights origin, FfnTokens tokens, FfnSolverOptions options);

  Context& context() const { return *space_.context; }
  // A round from `map`; frees the δ of the last one. Throws ERR_ARGUMENT where shapes do not fit.
  void Begin(FfnMap map);
  PartTiles Zeros() const;
  // θ − θ₀ of a part.
  TileMatrix<double> MovedFromOrigin(size_t part) const;
  // The sums of a pass, with the Gram of X where it is wanted: it stands in those of the first
  // part.
  PartSums MakeSums(bool with_gram) const;

  const TileSpace space_;
  const InputWeights origin_;
  const FfnTokens tokens_;
  const FfnSolverOptions options_;
  FfnMap map_;
  PartTiles delta_;  // δ
};

}  // namespace struprune
