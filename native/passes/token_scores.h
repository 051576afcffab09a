// What a model's head says of tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace struprune {

struct TokenScores {
  // Without targets, and nothing known yet.
  explicit TokenScores(size_t rows = 0)
      : nll(rows, std::numeric_limits<double>::quiet_NaN()), log_sum(rows), best(rows, -1) {}

  std::vector<double> nll;      // [rows], NaN where there is no target
  std::vector<double> log_sum;  // [rows], log of the sum of exp(logit)
  std::vector<int32_t> best;    // [rows], token with the largest logit
};

}  // namespace struprune
