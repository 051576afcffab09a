#include "solver/kronecker.h"

#include <algorithm>
#include <numeric>

#include "tiles/cholesky.h"
#include "tiles/elementwise.h"
#include "tiles/reduce.h"

namespace struprune {
namespace {

// Share of the diagonal, and of its mean for dead channels, that is added before factoring.
constexpr double kDamping = 0.5, kDampingFloor = 1e-6;

void FactorDamped(TileMatrix<double>& a) {
  std::vector<double> ridge = Diagonal(a);
  const double mean = std::reduce(ridge.begin(), ridge.end()) /
                      std::max<double>(1, static_cast<double>(ridge.size()));
  for (double& value : ridge) value = kDamping * value + (mean > 0 ? kDampingFloor * mean : 1.0);
  AddDiagonal(ridge, a);
  if (FactorCholesky(a)) return;
  throw Error("ERR_NUMERIC", "the curvature of an FFN could not be factored",
              "choose --ffn-solver output, or calibrate on more tokens");
}

// x ← x A⁻¹ for the factor of A.
void Solve(const TileMatrix<double>& factor, TileMatrix<double>& x) {
  SolveForward(factor, x);
  SolveBackward(factor, x);
}

}  // namespace

KroneckerInverse::KroneckerInverse(double tokens, TileMatrix<double> inputs,
                                   std::vector<TileMatrix<double>> curvatures)
    : tokens_(tokens), inputs_(std::move(inputs)), curvatures_(std::move(curvatures)) {
  FactorDamped(inputs_);
  for (TileMatrix<double>& curvature : curvatures_) FactorDamped(curvature);
}

TileMatrix<double> KroneckerInverse::Apply(size_t part, const TileMatrix<double>& r) const {
  TileMatrix<double> z = Transposed(tokens_, r);
  Solve(curvatures_[part], z);
  z = Transposed(1, z);
  Solve(inputs_, z);
  return z;
}

}  // namespace struprune
