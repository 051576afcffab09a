#include "solver/ffn_solver.h"

#include <algorithm>

namespace struprune {

FfnSolver::FfnSolver(std::shared_ptr<Context> context, Buffer<float> origin, FfnTokens tokens,
                     FfnSolverOptions options)
    : context_(std::move(context)),
      origin_(std::move(origin)),
      tokens_(std::move(tokens)),
      options_(options) {}

void FfnSolver::Begin(FfnMap map) {
  CheckShapes(map, tokens_);
  if (map.in.size() != origin_.size()) throw Error("ERR_ARGUMENT", "the FFN has another width");
  delta_ = {};
  map_ = std::move(map);
}

Buffer<double> FfnSolver::Zeros() const {
  Buffer<double> buffer = context_->Allocate<double>(map_.in.size());
  std::fill_n(buffer.data(), buffer.size(), 0.0);
  return buffer;
}

Buffer<float> FfnSolver::Moved() const {
  if (delta_.empty()) throw Error("ERR_ARGUMENT", "there is no change of the weights yet");
  Buffer<float> moved = context_->Allocate<float>(map_.in.size());
  for (size_t c = 0; c < moved.size(); ++c) {
    moved[c] = static_cast<float>(map_.in[c] + delta_[c]);
  }
  return moved;
}

}  // namespace struprune
