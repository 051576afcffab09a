// One ADMM run's state and its steps (docs/method.md, section 4). The iteration is TypeScript's
// (lib/solver/admm.ts): it picks ρ, and the mask from the energies.
#pragma once

#include "solver/site_problem.h"

namespace struprune {

// Of an AdmmState and its steps.
Needs AdmmNeeds(const Context& context, const ProblemShape& shape);

// Everything in coordinates scaled by diag(H_λ)^½: A = D⁻¹ H_λ D⁻¹ has a unit diagonal, and a
// column's norm is its Wanda energy.
class AdmmState {
 public:
  AdmmState(std::shared_ptr<const SiteProblem> site, bool bias);

  // One Cholesky of A + ρI; U is rescaled by ρ_old / ρ. Throws ERR_ARGUMENT for ρ <= 0,
  // ERR_NUMERIC.
  void SetRho(double rho);
  // Ŵ ← (W* A + ρ (Z − U)) (A + ρI)⁻¹. Needs SetRho first.
  void Solve();
  // ‖(Ŵ + U)_g‖² for every group; before the first Solve, Ŵ is W*.
  std::vector<double> GroupEnergies() const;  // [groups]
  // Z ← Ŵ + U on the kept groups, zero elsewhere.
  void Project(std::span<const uint8_t> keep);

  struct Residuals {
    double primal = 0;       // ‖Ŵ − Z‖
    double dual = 0;         // ρ ‖Z − Z_before‖
    double weight_norm = 0;  // ‖Ŵ‖
    double target_norm = 0;  // ‖Z‖
    double dual_norm = 0;    // ρ ‖U‖
  };
  // U ← U + Ŵ − Z, and how far the two copies are apart.
  Residuals UpdateDual();

  const SiteProblem& site() const { return *site_; }
  double lambda() const { return lambda_; }
  int ridge_raised() const { return ridge_raised_; }

 private:
  std::shared_ptr<const SiteProblem> site_;
  double lambda_ = 0;
  int ridge_raised_ = 0;
  double rho_ = 0;
  double moved_ = 0;                           // ‖Z − Z_before‖² of the last projection
  TileMatrix<double> matrix_;                  // [in, in] A, symmetric
  TileMatrix<double> factor_;                  // [in, in] Cholesky factor of A + ρI
  TileMatrix<double> right_;                   // [out, in] W* A = C_λ D⁻¹
  TileMatrix<double> weight_, target_, dual_;  // [out, in] Ŵ, Z, U
};

}  // namespace struprune
