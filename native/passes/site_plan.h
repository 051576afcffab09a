// How a site is streamed through a GPU's memory: pages of tokens, and rows of the Gram matrix a
// pass.
#pragma once

#include "backend/cuda_library.h"
#include "model/forward.h"

namespace struprune {

struct SitePlan {
  size_t flight = 0;     // tokens on the GPU at a time, at most a page of the states
  size_t gram_rows = 0;  // of a pass over the tokens; the site's width where there is no Gram
  size_t passes = 1;
  uint64_t device_bytes = 0, pinned_bytes = 0;
};

cuda::Gate GateOf(Activation activation);

// The site as cuda/abi.h describes it, without its pages and its rows of the Gram. alpha and beta
// of a residual are 1: with both dense states, the case that needs more.
cuda::SiteSpec SpecOf(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                      const SiteDemand& demand);

// The fewest passes over the tokens that the free part of the GPU's budget allows, then the largest
// pages. Throws ERR_BUDGET when one window does not fit. The site has a column at least.
SitePlan PlanSite(const CudaDevice& gpu, const SublayerSpec& layer, size_t hidden,
                  const SiteDemand& demand);

}  // namespace struprune
