// RunSite (model/forward.h) on a GPU: the same contract, the same sums, other rounding.
#pragma once

#include "device/cuda_library.h"
#include "model/forward.h"

namespace struprune {

// Pages of hidden states stream through pinned memory, which is charged to the host's budget. The
// site's weights, the pages in flight and as many rows of the Gram matrix as fit are on the GPU at
// a time; where not all rows fit, the pages stream once more for every further part. Throws what
// RunSite throws, ERR_BUDGET for the GPU's budget too, and ERR_DEVICE.
void RunSiteOnDevice(const CudaDevice& gpu, const Block& block, SiteKind site, const SiteRun& run);

}  // namespace struprune
