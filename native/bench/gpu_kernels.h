// Timings of the GPU's operations at a block's own shapes, as bench/kernels.h has them of the
// CPU's.
#pragma once

#include <string>
#include <vector>

#include "backend/cuda_library.h"
#include "bench/kernels.h"

namespace struprune::bench {

struct GpuRoofs {
  struct Rate {
    std::string dtype;  // what a timing's dtype names
    double gflops;
  };
  std::vector<Rate> rates;  // of large square products, by how operands are rounded
  double bandwidth = 0;     // GB/s, read and written, of a sum of two long arrays
};

// A model's head: columns and rows of its table. No rows: it is not timed.
struct HeadShape {
  size_t width, vocab;
};

// `seconds` of each; products and arrays as large as a part of the budget allows.
GpuRoofs MeasureGpuRoofs(const CudaDevice& gpu, double seconds);

// Times the operations of sites, of the least squares of an FFN and of the solvers, with operands
// rounded as the engine's are. Throws ERR_BUDGET where the arrays of one of them do not fit the
// GPU's budget.
std::vector<Timing> TimeGpuKernels(const CudaDevice& gpu, const BlockSpec& spec,
                                   const HeadShape& head, const KernelRun& run);

}  // namespace struprune::bench
