// What is left of a map: the kept columns, refitted or as they were, and the error that leaves.
#pragma once

#include "core/dtype.h"
#include "solver/site_problem.h"

namespace struprune {

struct Refit {
  std::vector<int32_t> kept;          // column indices, ascending
  TileMatrix<float> weight;           // [out, kept]
  std::vector<float> bias;            // [out]; empty when the map has none
  double error = 0;                   // ‖Y − X Ŵᵀ − b̂‖² of the float weight above
  double relative_error = 0;          // error ÷ ‖X Wᵀ + R‖²
  std::optional<double> fisher_loss;  // nats per token, when the site has a Fisher matrix
  double lambda = 0;
  int ridge_raised = 0;
};

// The exact refit on the groups with keep[g] != 0; with `bias`, b̂ = b + mean(R) − Δ mean(x), added
// where the map had none. A dtype of few steps: rounded to it so that its errors make up for each
// other (rounded_refit.h).
Refit RefitKept(const SiteProblem& site, std::span<const uint8_t> keep, bool bias,
                Dtype stored = Dtype::F32);
// W_K as it is. `mean_bias`: b + W_removed · mean(x_removed), FLAP's compensation (arXiv
// 2312.11983).
Refit SliceKept(const SiteProblem& site, std::span<const uint8_t> keep, bool mean_bias);

// Of both with so many columns kept.
Needs RefitNeeds(const Context& context, const ProblemShape& shape, size_t kept,
                 Dtype stored = Dtype::F32);
Needs SliceNeeds(const Context& context, const ProblemShape& shape, size_t kept);

// Fills the errors of any weight [out, kept] and bias [out] (empty: none).
void MeasureError(const SiteProblem& site, const ColumnSplit& split, Refit& refit);

}  // namespace struprune
