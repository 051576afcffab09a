// How fast the machine multiplies by the GEMM path at hand.
#pragma once

#include <cstddef>

#include "core/context.h"

namespace struprune::bench {

// GFLOP/s of products [256, k] × [k, n] on all threads, over `seconds`: by the BLAS's sgemm, or by
// the path that the job has.
double MeasureGemm(Context& context, size_t n, size_t k, double seconds, bool sgemm);

}  // namespace struprune::bench
