// What the solvers of an FFN's input weights θ have in common: they begin at the weights of an FFN
// as it is, pull towards the model's own, and end in a change of them. All matrices lie in the page
// store of a tile space; what a pass over the tokens holds is in memory beside them.
#pragma once

#include <vector>

#include "core/dtype.h"
#include "passes/ffn_pass.h"

namespace struprune {

struct FfnSolverOptions {
  double lambda = 0.05;      // ridge towards the model's own weights, by the solver's own measure
  bool freeze_last = false;  // the weights of the last column of X, which are biases, stay
};

// What a solver of this kind needs depends on.
struct FfnDemand {
  FfnShape shape;
  TokenPages tokens;
  size_t taken = 0;  // tokens that a round takes
  size_t rounds = 1;
  Dtype stored = Dtype::F32;  // of the output map that is refitted between its rounds
  bool paged = false;         // of matrices only tiles and strips at hand are in memory
};
// Bytes of tiles of all parts of [width, inputs] matrices, and of a refit's weight.
size_t IterateTiles(const FfnShape& shape);
size_t FitTiles(const FfnShape& shape);
// Copies of weights, as many of all input maps and of the output map; where they are paged, the
// strips at hand are those of the block but for a column of `ones`.
Needs CopiesNeeds(const FfnDemand& demand, size_t inputs, size_t outputs);
// Of the sums of a round, beside their tiles.
Needs SumsNeeds(const Context& context, const FfnShape& shape, bool gram);
// Of FfnSolver::Moved, and of what else takes rows of a weight as doubles.
Needs MovedNeeds(const FfnShape& shape);
// A pass over the tokens that a round takes, in place of one over all of them.
Needs OverTaken(Needs pass, const FfnDemand& demand);
// Between rounds with so many bytes of tiles of the solver's own: the block gets the weights, and
// its output map a refit.
Needs BetweenNeeds(const Context& context, const FfnDemand& demand, size_t tiles);

// [width, inputs] a part of the input weights.
using PartTiles = std::vector<TileMatrix<double>>;

class FfnSolver {
 public:
  // Where its own matrices go.
  const TileSpace& space() const { return space_; }
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
