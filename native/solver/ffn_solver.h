// What the solvers of an FFN's input weights θ have in common: they begin at the weights of an FFN
// as it is, pull towards the model's own, and end in a change of them.
#pragma once

#include <memory>

#include "solver/ffn_pass.h"

namespace struprune {

struct FfnSolverOptions {
  double lambda = 0.05;      // ridge towards the model's own weights, by the solver's own measure
  bool freeze_last = false;  // the weights of the last column of X, which are biases, stay
};

class FfnSolver {
 public:
  // Of the round: where it began, and θ + δ, the input weights that it led to.
  const FfnMap& map() const { return map_; }
  Buffer<float> Moved() const;

 protected:
  // origin = θ₀, the model's own input weights, of the shape of FfnMap::in.
  FfnSolver(std::shared_ptr<Context> context, Buffer<float> origin, FfnTokens tokens,
            FfnSolverOptions options);

  // A round from `map`; frees the δ of the last one. Throws ERR_ARGUMENT where shapes do not fit.
  void Begin(FfnMap map);
  // θ − θ₀ of one weight.
  double MovedFromOrigin(size_t c) const { return static_cast<double>(map_.in[c]) - origin_[c]; }
  Buffer<double> Zeros() const;  // [map.rows(), inputs]

  std::shared_ptr<Context> context_;
  const Buffer<float> origin_;
  const FfnTokens tokens_;
  const FfnSolverOptions options_;
  FfnMap map_;
  Buffer<double> delta_;  // [map.rows(), inputs] δ
};

}  // namespace struprune
