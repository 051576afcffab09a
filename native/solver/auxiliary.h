// One iteration of SparseLLM's auxiliary variables (arXiv 2402.17946) on the kept channels of an
// FFN (docs/method.md, section 7): every token gets the hidden activations p that its target would
// like, and the pre-activations z near its own that give them; gate and up are then fitted to z.
#pragma once

#include "solver/ffn_pass.h"

namespace struprune {

struct AuxiliaryOptions {
  double lambda = 0.05;  // ridge towards the model's own weights, on diag(XᵀX)
  double alpha = 1;      // what p differing from the activation at hand costs, × mean diag(DᵀD)
  double beta = 1;       // what z differing from the pre-activations costs, × mean square of slopes
  bool freeze_last = false;  // the weights of the last column of X, which are biases, stay
};

class Auxiliary {
 public:
  // origin = the model's own input weights, of the shape of FfnMap::in.
  Auxiliary(std::shared_ptr<Context> context, Buffer<float> origin, FfnTokens tokens,
            AuxiliaryOptions options);

  // One iteration from `map` over about `count` tokens, as ChoosePages gives them. Throws
  // ERR_ARGUMENT, ERR_NUMERIC.
  void Iterate(FfnMap map, size_t count, size_t offset);

  // Of the iteration: where it began and the input weights that it led to.
  const FfnMap& map() const { return map_; }
  Buffer<float> Moved() const;

 private:
  void Fit(const Statistics& sums);

  std::shared_ptr<Context> context_;
  const Buffer<float> origin_;
  const FfnTokens tokens_;
  const AuxiliaryOptions options_;
  FfnMap map_;
  Buffer<double> delta_;  // [map.rows(), inputs] change of the input weights
};

}  // namespace struprune
