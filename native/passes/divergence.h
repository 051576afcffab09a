// KL divergences of many models from one: of the one's next-token distributions p only what a
// divergence needs is kept, so that its logits are made once.
#pragma once

#include <span>
#include <vector>

#include "core/paged_matrix.h"
#include "model/ends.h"

namespace struprune {

// mean[tokens, embedding_width] <- sum over the vocabulary of p W[v], W the head, p the next-token
// distribution of hidden[tokens, hidden] after the last block; where logits are capped, and no
// divergence is linear in it, the head's input instead. Returns sum of p log p, nats [tokens].
// Pages of both matrices have equally many rows. On the context's GPU where it has one and logits
// are not capped. Throws ERR_ARGUMENT for shapes that disagree, ERR_NAN for logits that are not
// finite.
std::vector<double> ExpectHead(Context& context, const EndsSpec& spec, PagedMatrix& hidden,
                               PagedMatrix& mean);
Needs ExpectHeadNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens);

// KL(p ‖ q), nats [tokens], q by the same head of other hidden states: with x the head's input for
// q and m of ExpectHead, sum of p log p - m x + log sum exp(W x); of capped logits their mean under
// p in place of m x. Throws as ExpectHead.
std::vector<double> DivergenceFrom(Context& context, const EndsSpec& spec, PagedMatrix& mean,
                                   std::span<const double> negative_entropy, PagedMatrix& hidden);
Needs DivergenceNeeds(const Context& context, const EndsShape& ends, const TokenPages& tokens);

}  // namespace struprune
