// The calls of cuBLAS and cuSOLVER that native/cuda makes, over the CPU's BLAS and LAPACK: a test
// of how operands are handed over (order, transposition, strides), which a GPU is not needed for.
// bf16 operands are widened, TF32 ones cut to 11 bits, so that stated accuracies are tested
// too.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "cuda/blas_api.h"
#include "ops/blas.h"
#include "ops/half.h"

namespace {

using namespace struprune;
using namespace struprune::cuda;

// What a handle of either library is: the stream that its calls go to.
struct Handle {
  cudaStream_t stream = nullptr;
};
cudaStream_t& StreamOf(void* handle) { return static_cast<Handle*>(handle)->stream; }

// Truncated, as wgmma does: the worse of what tensor cores do with them.
float Tf32(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  bits &= ~uint32_t{0x1fff};
  std::memcpy(&x, &bits, sizeof(bits));
  return x;
}

// An operand of `rows` × `cols` in column-major order as floats.
std::vector<float> Operand(const void* data, int type, bool tf32, int rows, int cols, int ld) {
  std::vector<float> values(static_cast<size_t>(ld) * static_cast<size_t>(cols));
  for (int col = 0; col < cols; ++col) {
    for (int row = 0; row < rows; ++row) {
      const size_t at =
          static_cast<size_t>(col) * static_cast<size_t>(ld) + static_cast<size_t>(row);
      const float value = type == kTypeBf16
                              ? Bfloat16ToFloat(static_cast<const uint16_t*>(data)[at])
                              : static_cast<const float*>(data)[at];
      values[at] = tf32 ? Tf32(value) : value;
    }
  }
  return values;
}

CBLAS_TRANSPOSE Code(int op) { return op == kOpT ? CblasTrans : CblasNoTrans; }

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int cublasCreate_v2(BlasHandle* handle) {
  // The environment decides whether there was memory for it.
  const char* status = std::getenv("STRUPRUNE_EMULATED_CUBLAS_STATUS");
  if (status && std::atoi(status) != kBlasSuccess) return std::atoi(status);
  *handle = new Handle;
  return kBlasSuccess;
}
EXPORT int cublasDestroy_v2(BlasHandle handle) {
  delete static_cast<Handle*>(handle);
  return 0;
}
EXPORT int cublasGetVersion_v2(BlasHandle, int* version) {
  *version = 130000;
  return 0;
}
EXPORT int cublasSetStream_v2(BlasHandle handle, cudaStream_t stream) {
  StreamOf(handle) = stream;
  return 0;
}
// The documentation's limits: aligned, and large enough for every call.
EXPORT int cublasSetWorkspace_v2(BlasHandle, void* workspace, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return 7;
  return bytes < 16 << 10 ? kBlasAllocFailed : kBlasSuccess;
}

EXPORT int cublasGemmEx(BlasHandle handle, int ta, int tb, int m, int n, int k, const void* alpha,
                        const void* a, int a_type, int lda, const void* b, int b_type, int ldb,
                        const void* beta, void* c, int c_type, int ldc, int compute, int) {
  if (const char* status = std::getenv("STRUPRUNE_EMULATED_GEMM_STATUS")) return std::atoi(status);
  if (a_type != b_type || m <= 0 || n <= 0 || k <= 0) return 7;
  if (compute == kComputeF64) {
    if (a_type != kTypeF64 || c_type != kTypeF64) return 7;
    const double x = *static_cast<const double*>(alpha), y = *static_cast<const double*>(beta);
    emulation::EnqueueWork(StreamOf(handle), [=] {
      STRUPRUNE_BLAS(cblas_dgemm)
      (CblasColMajor, Code(ta), Code(tb), m, n, k, x, static_cast<const double*>(a), lda,
       static_cast<const double*>(b), ldb, y, static_cast<double*>(c), ldc);
    });
    return 0;
  }
  if (c_type != kTypeF32 || (a_type == kTypeBf16) != (compute == kComputeF32)) return 7;
  const float x = *static_cast<const float*>(alpha), y = *static_cast<const float*>(beta);
  emulation::EnqueueWork(StreamOf(handle), [=] {
    const bool tf32 = compute == kComputeTf32;
    const auto left =
        ta == kOpT ? Operand(a, a_type, tf32, k, m, lda) : Operand(a, a_type, tf32, m, k, lda);
    const auto right =
        tb == kOpT ? Operand(b, b_type, tf32, n, k, ldb) : Operand(b, b_type, tf32, k, n, ldb);
    STRUPRUNE_BLAS(cblas_sgemm)
    (CblasColMajor, Code(ta), Code(tb), m, n, k, x, left.data(), lda, right.data(), ldb, y,
     static_cast<float*>(c), ldc);
  });
  return 0;
}

EXPORT int cublasDtrsm_v2(BlasHandle handle, int side, int fill, int trans, int, int m, int n,
                          const double* alpha, const double* a, int lda, double* b, int ldb) {
  const double x = *alpha;
  emulation::EnqueueWork(StreamOf(handle), [=] {
    STRUPRUNE_BLAS(cblas_dtrsm)
    (CblasColMajor, side == kSideLeft ? CblasLeft : CblasRight,
     fill == kFillLower ? CblasLower : CblasUpper, Code(trans), CblasNonUnit, m, n, x, a, lda, b,
     ldb);
  });
  return 0;
}

EXPORT int cusolverGetVersion(int* version) {
  *version = 12000;
  return 0;
}
EXPORT int cusolverDnCreate(SolverHandle* handle) {
  *handle = new Handle;
  return 0;
}
EXPORT int cusolverDnDestroy(SolverHandle handle) {
  delete static_cast<Handle*>(handle);
  return 0;
}
EXPORT int cusolverDnSetStream(SolverHandle handle, cudaStream_t stream) {
  StreamOf(handle) = stream;
  return 0;
}
EXPORT int cusolverDnDpotrf_bufferSize(SolverHandle, int, int n, double*, int, int* count) {
  // More than the matrix where that is small, as the library's own panels are.
  *count = 64 * n + 4096;
  return 0;
}
EXPORT int cusolverDnDpotrf(SolverHandle handle, int fill, int n, double* a, int lda, double*, int,
                            int* info) {
  emulation::EnqueueWork(StreamOf(handle), [=] {
    const char uplo = fill == kFillLower ? 'L' : 'U';
    const lapack_int size = n, stride = lda;
    lapack_int status = 0;
    // A matrix of NaNs is factored without a word, as on GPUs.
    if (std::isnan(a[0])) {
      *info = 0;
      return;
    }
    STRUPRUNE_LAPACK(dpotrf)(&uplo, &size, a, &stride, &status, 1);
    *info = static_cast<int>(status);
  });
  return 0;
}
