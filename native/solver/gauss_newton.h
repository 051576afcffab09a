// Gauss-Newton on the input weights θ of an FFN (docs/method.md, section 7). With J the derivative
// of Ŷ by θ, one linearisation asks for the δ of
//   (JᵀJ + K) δ = Jᵀ(Y − Ŷ) − K (θ − θ₀)
// by conjugate gradients under a Kronecker preconditioner. J is never stored: a product with it is
// a pass over the tokens. The loop is the caller's (lib/solver/gauss-newton.ts).
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "solver/ffn_solver.h"
#include "solver/kronecker.h"

namespace struprune {

// What the line along a direction p looks like: the model of the error falls by slope² ÷ curvature
// at the step slope ÷ curvature.
struct Direction {
  double slope = 0;      // <residual of the normal equations, p>
  double curvature = 0;  // pᵀ(JᵀJ + K) p
};

// Of a solver from its making to its end, with the refits of the output map between its rounds, of
// `steps` directions each.
Needs GaussNewtonNeeds(const Context& context, const FfnDemand& demand, size_t steps);

class GaussNewton : public FfnSolver {
 public:
  // K = λ × the diagonal of the Kronecker approximation of JᵀJ.
  GaussNewton(TileSpace space, InputWeights origin, FfnTokens tokens, FfnSolverOptions options)
      : FfnSolver(std::move(space), std::move(origin), std::move(tokens), options) {}

  // Linearises at `map` over about `tokens` tokens: pages at even distances, the first of them page
  // number `offset`. Returns ‖Y − Ŷ‖² ÷ ‖Y‖² over them. Throws ERR_ARGUMENT where shapes do not
  // fit.
  double Linearise(FfnMap map, size_t tokens, size_t offset);
  // The next direction of the conjugate gradients; `last`: none follows, which saves half of a
  // pass.
  Direction NextDirection(bool last);
  // δ += step × that direction.
  void Advance(double step);

 private:
  void MakePreconditioner(Statistics& sums, PartSums& moments);
  // The preconditioned residual.
  PartTiles Preconditioned() const;
  // to += scale K from, of a part.
  void AddPenalty(double scale, size_t part, const TileMatrix<double>& from,
                  TileMatrix<double>& to) const;
  InputWeights InStrips(const PartTiles& parts) const;

  // Of the linearisation.
  std::vector<FfnPage> pages_;
  double taken_ = 0;                             // tokens of the pages
  std::vector<std::vector<double>> curvatures_;  // diagonals of A, a part each
  std::vector<double> squares_;                  // diagonal of H
  std::optional<KroneckerInverse> preconditioner_;
  PartTiles residual_, direction_, image_;
  double norm_ = 0;  // <residual, preconditioned residual> at the last direction
};

}  // namespace struprune
