// The passes of passes/ffn_pass.h on a GPU: the same contracts, the same sums, other rounding.
#pragma once

#include "passes/ffn_body.h"

namespace struprune {

// Pages of tokens stream through pinned memory, which is charged to the host's budget. The weights,
// the pages in flight and as many rows of the sums as fit are on the GPU at a time; where not all
// fit, the pages stream once more for every further band of channels. Throw ERR_BUDGET where the
// GPU's budget does not hold that, and ERR_DEVICE.
FfnError AddGradientOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                             const FfnTokens& tokens, const std::vector<FfnPage>& pages,
                             const PartSums& sums, const PartSums& moments);
double AddProductOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                          const FfnTokens& tokens, const std::vector<FfnPage>& pages,
                          const InputWeights& v, const PartSums& sums);
void AddHiddenOnDevice(const CudaDevice& gpu, Context& context, const FfnMap& map,
                       const FfnTokens& tokens, Statistics& sums);

struct FfnPlan {
  size_t flight = 0;  // tokens of one of the two pages that are on the GPU
  size_t band = 0;    // channels whose rows of the sums a way over the tokens makes
  size_t ways = 1;
  uint64_t device_bytes = 0, pinned_bytes = 0;
};

// Of one of these passes, beside the tokens' pages; `sums`: most doubles that come back at a time.
Needs PassNeedsOnDevice(const CudaDevice& gpu, const FfnShape& shape, FfnPass pass, bool has_sums,
                        size_t sums);

// The fewest ways over the tokens that the free part of the GPU's budget allows, then the largest
// pages. `sums` false: a product without sums. Throws ERR_BUDGET when nothing fits.
FfnPlan PlanFfn(const CudaDevice& gpu, const FfnShape& shape, FfnPass pass, bool sums);

}  // namespace struprune
