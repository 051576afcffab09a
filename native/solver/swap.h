// Exchanges of one kept for one removed group while the exact penalised error falls.
#pragma once

#include <utility>
#include <vector>

#include "solver/site_problem.h"

namespace struprune {

struct SwapOptions {
  bool bias = false;
  Metric metric = Metric::kPlain;
  size_t max_swaps = 64;
  // An exchange must lower the penalised error by more than this share of it.
  double min_gain = 1e-9;
};

struct SwapResult {
  std::vector<uint8_t> keep;                       // [groups]
  std::vector<std::pair<int32_t, int32_t>> swaps;  // (removed, taken back), in order
  double before = 0;                               // exact penalised errors, metric's unit
  double after = 0;
  bool settled = false;  // no single exchange lowers the error any more
  double lambda = 0;
  int ridge_raised = 0;
};

// Of SwapPass on so many kept columns.
Needs SwapNeeds(const Context& context, const ProblemShape& shape, size_t kept);

// Each time the best of all pairs. Throws ERR_NUMERIC.
SwapResult SwapPass(const SiteProblem& site, std::span<const uint8_t> keep,
                    const SwapOptions& options);

}  // namespace struprune
