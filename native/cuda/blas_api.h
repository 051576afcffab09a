// The few calls of cuBLAS and cuSOLVER that are used, as function types: both are loaded with
// dlopen, and their 600 MB of wheels are not needed to build. Values are those of the public
// headers, the same in CUDA 12 and 13; blas_headers_check.cpp compares them where a toolkit has the
// headers.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace struprune::cuda {

using BlasHandle = void*;
using SolverHandle = void*;

// cublasOperation_t, cublasFillMode_t, cublasSideMode_t, cublasDiagType_t
enum BlasOp : int { kOpN = 0, kOpT = 1 };
enum BlasFill : int { kFillLower = 0, kFillUpper = 1 };
enum BlasSide : int { kSideLeft = 0, kSideRight = 1 };
enum BlasDiag : int { kDiagNonUnit = 0 };
// cudaDataType_t, cublasComputeType_t, cublasGemmAlgo_t
enum BlasType : int { kTypeF32 = 0, kTypeF64 = 1, kTypeBf16 = 14 };
enum BlasCompute : int { kComputeF32Pedantic = 69, kComputeF32 = 68, kComputeTf32 = 77 };
enum BlasCompute64 : int { kComputeF64 = 70 };
enum BlasAlgo : int { kAlgoDefault = -1 };
// cublasStatus_t, cusolverStatus_t
enum BlasStatus : int { kBlasSuccess = 0, kBlasNotInitialised = 1, kBlasAllocFailed = 3 };
enum SolverStatus : int { kSolverSuccess = 0, kSolverNotInitialised = 1, kSolverAllocFailed = 2 };

struct BlasCalls {
  int (*create)(BlasHandle*);
  int (*destroy)(BlasHandle);
  int (*version)(BlasHandle, int*);
  int (*set_stream)(BlasHandle, cudaStream_t);
  int (*set_workspace)(BlasHandle, void*, size_t);
  int (*gemm)(BlasHandle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a,
              int a_type, int lda, const void* b, int b_type, int ldb, const void* beta, void* c,
              int c_type, int ldc, int compute, int algo);
  int (*trsm)(BlasHandle, int side, int fill, int trans, int diag, int m, int n,
              const double* alpha, const double* a, int lda, double* b, int ldb);
};

struct SolverCalls {
  int (*version)(int*);
  int (*create)(SolverHandle*);
  int (*destroy)(SolverHandle);
  int (*set_stream)(SolverHandle, cudaStream_t);
  int (*potrf_size)(SolverHandle, int fill, int n, double* a, int lda, int* count);
  int (*potrf)(SolverHandle, int fill, int n, double* a, int lda, double* work, int count,
               int* info);
};

}  // namespace struprune::cuda
