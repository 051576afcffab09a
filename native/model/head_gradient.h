// The gradient of the loss at the last hidden states, where the backward pass begins.
#pragma once

#include <cstdint>
#include <span>

#include "core/paged_matrix.h"
#include "model/ends.h"
#include "tiles/statistics.h"

namespace struprune {

// Labels of the loss: the text's own next tokens, or tokens drawn from the model's own distribution
// (then the mean of delta deltaᵀ is an estimate of the true Fisher matrix instead of the empirical
// one).
enum class Labels : uint8_t { kEmpirical, kSampled };

struct HeadGradientRun {
  PagedMatrix* hidden = nullptr;     // [at least tokens, hidden] after the last block
  PagedMatrix* gradient = nullptr;   // [tokens, hidden], overwritten; another matrix than hidden
  std::span<const int32_t> targets;  // [tokens] next token, -1 = none (the last of every window)
  Labels labels = Labels::kEmpirical;
  uint64_t seed = 0;  // of the drawn labels, which depend on it and a token's index alone
};

struct HeadLoss {
  double nll = 0;      // sum over the tokens with a target, nats, of the labels that were used
  size_t targets = 0;  // how many
};

// gradient <- d(sum of the NLL of all labels)/d(hidden), by flights of tokens and tiles of the
// vocabulary: neither the logits nor the table is in memory at once. Rows without a target are 0.
// Throws ERR_ARGUMENT for shapes that disagree or a target outside the vocabulary, ERR_NAN.
HeadLoss HeadGradient(Context& context, const EndsSpec& spec, const HeadGradientRun& run);
Needs HeadGradientNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens);

struct DivergenceGradientRun {
  PagedMatrix* hidden = nullptr;    // [at least tokens, hidden] after the last block, of q
  PagedMatrix* gradient = nullptr;  // [tokens, hidden], overwritten; another matrix than hidden
  // ExpectHead's of the model with the distributions p (passes/divergence.h), [at least tokens,
  // ...].
  PagedMatrix* mean = nullptr;
  std::span<const double> negative_entropy;  // [tokens]
  // [hidden] wide, receives the gradient of the final norm's factors as rows (model/backward.h).
  // May be null.
  Statistics* final_norm = nullptr;
};

// gradient <- d(sum of KL(p ‖ q) of all tokens)/d(hidden), nats; returns the sum. Throws as above.
double DivergenceGradient(Context& context, const EndsSpec& spec, const DivergenceGradientRun& run);
// Beside the statistics, with the factors of the final norm where there is one.
Needs DivergenceGradientNeeds(const Context& context, const EndsShape& ends,
                              const TokenPages& tokens);

}  // namespace struprune
