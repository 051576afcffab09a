// RunSite (model/forward.h) on a GPU: the same contract, the same sums, other rounding.
#pragma once

#include "backend/cuda_library.h"
#include "model/forward.h"

namespace struprune {

// How a site is streamed through a GPU's memory: pages of tokens, and rows of the Gram a pass.
struct SitePlan {
  size_t flight = 0;     // tokens on the GPU at a time, at most a page of the states
  size_t gram_rows = 0;  // of a pass over the tokens; the site's width where there is no Gram
  size_t passes = 1;
  uint64_t device_bytes = 0, pinned_bytes = 0;
};

// The fewest passes over the tokens that the free part of the GPU's budget allows, then the largest
// pages. Throws ERR_BUDGET when one window does not fit. The site has a column at least.
SitePlan PlanSite(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                  const SiteDemand& demand);

// How RunSiteOnDevice streams the site, with the bytes that it takes. As many tokens are in flight
// as fit beside the sums of `run.repeats` too: products of another number of rows may differ in
// their last bits.
SitePlan PlanRun(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                 const SiteRun& run);

// Pages of hidden states stream through pinned memory, which is charged to the host's budget. The
// site's weights, the pages in flight and as many rows of the Gram matrix as fit are on the GPU at
// a time; where not all rows fit, the pages stream once more for every further part. Throws what
// RunSite throws, ERR_BUDGET for the GPU's budget too, and ERR_DEVICE.
void RunSiteOnDevice(const CudaDevice& gpu, const Sublayer& layer, const SiteRun& run);

// As RunSiteNeeds (model/forward.h). Throws ERR_BUDGET where the GPU's budget does not hold one
// window.
Needs RunSiteNeedsOnDevice(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                           const SiteDemand& demand, const TokenPages& tokens, bool ones = false);

}  // namespace struprune
