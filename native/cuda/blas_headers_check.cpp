// The values of blas_api.h against the public headers, where a toolkit has them; else empty.
#include "cuda/blas_api.h"

// The emulation, which is no CUDA, stays apart from headers of a toolkit on the same machine.
#if !defined(STRUPRUNE_EMULATION) && __has_include(<cublas_v2.h>) && __has_include(<cusolverDn.h>)
#include <cublas_v2.h>
#include <cusolverDn.h>

namespace struprune::cuda {

static_assert(kOpN == int{CUBLAS_OP_N} && kOpT == int{CUBLAS_OP_T});
static_assert(kFillLower == int{CUBLAS_FILL_MODE_LOWER} &&
              kFillUpper == int{CUBLAS_FILL_MODE_UPPER});
static_assert(kSideLeft == int{CUBLAS_SIDE_LEFT} && kSideRight == int{CUBLAS_SIDE_RIGHT});
static_assert(kDiagNonUnit == int{CUBLAS_DIAG_NON_UNIT});
static_assert(kTypeF32 == int{CUDA_R_32F} && kTypeF64 == int{CUDA_R_64F} &&
              kTypeBf16 == int{CUDA_R_16BF});
static_assert(kComputeF32 == int{CUBLAS_COMPUTE_32F} &&
              kComputeF32Pedantic == int{CUBLAS_COMPUTE_32F_PEDANTIC} &&
              kComputeTf32 == int{CUBLAS_COMPUTE_32F_FAST_TF32} &&
              kComputeF64 == int{CUBLAS_COMPUTE_64F});
static_assert(kAlgoDefault == int{CUBLAS_GEMM_DEFAULT});
static_assert(kBlasSuccess == int{CUBLAS_STATUS_SUCCESS} &&
              kBlasNotInitialised == int{CUBLAS_STATUS_NOT_INITIALIZED} &&
              kBlasAllocFailed == int{CUBLAS_STATUS_ALLOC_FAILED});
static_assert(kSolverSuccess == int{CUSOLVER_STATUS_SUCCESS} &&
              kSolverNotInitialised == int{CUSOLVER_STATUS_NOT_INITIALIZED} &&
              kSolverAllocFailed == int{CUSOLVER_STATUS_ALLOC_FAILED});

}  // namespace struprune::cuda
#endif
