// Cholesky factors and solves by rows, in fp64: cuSOLVER and cuBLAS, else blocks of the built-in
// kernels.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cuda/gemm_kernels.h"
#include "cuda/ops.h"

namespace struprune::cuda {
namespace {

constexpr int kBlock = 32;

// Factors the diagonal block a[count, count] in shared memory; *failed <- 1 for a pivot <= 0.
__global__ void __launch_bounds__(kThreads)
    FactorKernel(int count, double* a, int64_t lda, int32_t* failed) {
  __shared__ double l[kBlock][kBlock + 1];
  const int tid = static_cast<int>(threadIdx.x);
  for (int at = tid; at < count * count; at += kThreads) {
    l[at / count][at % count] = a[at / count * lda + at % count];
  }
  __syncthreads();
  for (int j = 0; j < count; ++j) {
    if (tid == 0) {
      // A NaN fails the comparison too. The rest goes on with any number: the caller reads the
      // flag.
      if (!(l[j][j] > 0)) *failed = 1;
      l[j][j] = l[j][j] > 0 ? sqrt(l[j][j]) : 1.0;
    }
    __syncthreads();
    if (tid > j && tid < count) l[tid][j] /= l[j][j];
    __syncthreads();
    for (int at = tid; at < count * count; at += kThreads) {
      const int i = at / count, k = at % count;
      if (k > j && k <= i) l[i][k] -= l[i][j] * l[k][j];
    }
    __syncthreads();
  }
  for (int at = tid; at < count * count; at += kThreads) {
    if (at % count <= at / count) a[at / count * lda + at % count] = l[at / count][at % count];
  }
}

// A thread a row: x[m, count] <- x inv(L)ᵀ (kTransposed) or x inv(L), L[count, count] lower. Blocks
// narrower than kBlock are filled up with a unit matrix.
template <bool kTransposed>
__global__ void __launch_bounds__(kThreads)
    TriangleKernel(int count, const double* factor, int64_t ldf, int64_t m, double* x,
                   int64_t ldx) {
  __shared__ double l[kBlock][kBlock + 1];
  const int tid = static_cast<int>(threadIdx.x);
  for (int at = tid; at < kBlock * kBlock; at += kThreads) {
    const int i = at / kBlock, j = at % kBlock;
    const bool inside = i < count && j <= i;
    l[i][j] = inside ? factor[i * ldf + j] : (i == j ? 1.0 : 0.0);
  }
  __syncthreads();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kThreads + tid;
  if (row >= m) return;  // no barrier follows
  double y[kBlock];
#pragma unroll
  for (int j = 0; j < kBlock; ++j) y[j] = j < count ? x[row * ldx + j] : 0.0;
  if (kTransposed) {
#pragma unroll
    for (int j = 0; j < kBlock; ++j) {
      double value = y[j];
#pragma unroll
      for (int i = 0; i < j; ++i) value -= y[i] * l[j][i];
      y[j] = value / l[j][j];
    }
  } else {
#pragma unroll
    for (int j = kBlock - 1; j >= 0; --j) {
      double value = y[j];
#pragma unroll
      for (int i = j + 1; i < kBlock; ++i) value -= y[i] * l[i][j];
      y[j] = value / l[j][j];
    }
  }
#pragma unroll
  for (int j = 0; j < kBlock; ++j) {
    if (j < count) x[row * ldx + j] = y[j];
  }
}

template <bool kTransposed>
void SolveBlock(Device& device, int64_t count, const double* factor, int64_t ldf, int64_t m,
                double* x, int64_t ldx) {
  if (m == 0) return;
  Launch("a triangular solve", TriangleKernel<kTransposed>,
         static_cast<unsigned>(CeilDiv(m, kThreads)), kThreads, device.compute,
         static_cast<int>(count), factor, ldf, m, x, ldx);
}

// Column block by column block: factor the corner, solve the panel under it, update what is right
// of it (Golub and Van Loan, Matrix Computations, 4.2).
void BuiltInCholesky(Device& device, int64_t n, double* a, int64_t lda, int32_t* failed) {
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t count = std::min<int64_t>(kBlock, n - at), rest = n - at - count;
    double* corner = a + at * lda + at;
    Launch("a factor", FactorKernel, 1u, kThreads, device.compute, static_cast<int>(count), corner,
           lda, failed);
    double* panel = corner + count * lda;
    SolveBlock<true>(device, count, corner, lda, rest, panel, lda);
    Product<double, double> update{rest, rest, count,         -1, panel, lda, panel,
                                   lda,  1,    panel + count, lda};
    update.lower = true;
    MultiplyTiled(false, true, update, device.compute);
  }
}

// x inv(L)ᵀ, block after block of columns.
void BuiltInForward(Device& device, int64_t n, const double* factor, int64_t ldf, int64_t m,
                    double* x, int64_t ldx) {
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t count = std::min<int64_t>(kBlock, n - at), rest = n - at - count;
    SolveBlock<true>(device, count, factor + at * ldf + at, ldf, m, x + at, ldx);
    const Product<double, double> update{
        m,   rest, count,          -1, x + at, ldx, factor + (at + count) * ldf + at,
        ldf, 1,    x + at + count, ldx};
    MultiplyTiled(false, true, update, device.compute);
  }
}

// x inv(L), from the last block on.
void BuiltInBackward(Device& device, int64_t n, const double* factor, int64_t ldf, int64_t m,
                     double* x, int64_t ldx) {
  for (int64_t at = (n - 1) / kBlock * kBlock; at >= 0; at -= kBlock) {
    const int64_t count = std::min<int64_t>(kBlock, n - at);
    SolveBlock<false>(device, count, factor + at * ldf + at, ldf, m, x + at, ldx);
    const Product<double, double> update{m,   at, count, -1, x + at, ldx, factor + at * ldf,
                                         ldf, 1,  x,     ldx};
    MultiplyTiled(false, false, update, device.compute);
  }
}

// Doubles of work space. Row-major and lower is column-major and upper: A = UᵀU with U = Lᵀ.
int LibraryWork(const Solver& solver, int64_t n, double* a, int64_t lda) {
  int count = 0;
  CheckSolver(solver.calls().potrf_size(solver.handle(), kFillUpper, Int(n), a, Int(lda), &count),
              "cusolverDnDpotrf_bufferSize");
  return count;
}

void LibraryCholesky(Device& device, const Solver& solver, int64_t n, double* a, int64_t lda,
                     int32_t* info) {
  const int count = LibraryWork(solver, n, a, lda);
  // Not null, however little it asks for.
  auto work = device.Allocate<double>(std::max(count, 1));
  CheckSolver(solver.calls().potrf(solver.handle(), kFillUpper, Int(n), a, Int(lda), work.data(),
                                   count, info),
              "cusolverDnDpotrf");
}

// cuSOLVER factors NaNs without a word.
bool HasPositiveDiagonal(Device& device, int64_t n, const double* a, int64_t lda) {
  const auto diagonal = device.Allocate<double>(n);
  ReadDiagonal(device, n, a, lda, diagonal.data());
  std::vector<double> values(static_cast<size_t>(n));
  Check(cudaMemcpyAsync(values.data(), diagonal.data(), values.size() * sizeof(double),
                        cudaMemcpyDeviceToHost, device.compute),
        "a copy from the GPU");
  Check(cudaStreamSynchronize(device.compute), "a Cholesky factorisation");
  return std::ranges::all_of(values,
                             [](double value) { return std::isfinite(value) && value > 0; });
}

}  // namespace

void CholeskyBytes(Device& device, int64_t n, uint64_t* bytes) {
  *bytes = ArrayBytes<int32_t>(1) + ArrayBytes<double>(n);
  if (const Solver* solver = device.FindSolver(); solver && n > 0) {
    // The matrix is not looked at, but some memory of the GPU it should be.
    auto* const any = reinterpret_cast<double*>(device.workspace.data());
    *bytes += ArrayBytes<double>(LibraryWork(*solver, n, any, n));
  }
}

void Cholesky(Device& device, int64_t n, double* a, int64_t lda, int32_t* positive) {
  *positive = 1;
  if (n == 0) return;
  auto failed = device.Allocate<int32_t>(1);
  Check(cudaMemsetAsync(failed.data(), 0, sizeof(int32_t), device.compute), "a memset");
  if (const Solver* solver = device.FindSolver()) {
    LibraryCholesky(device, *solver, n, a, lda, failed.data());
  } else {
    BuiltInCholesky(device, n, a, lda, failed.data());
  }
  int32_t status = 0;
  Check(cudaMemcpyAsync(&status, failed.data(), sizeof(status), cudaMemcpyDeviceToHost,
                        device.compute),
        "a copy");
  Check(cudaStreamSynchronize(device.compute), "a Cholesky factorisation");
  if (status < 0) {
    throw Error("ERR_INTERNAL", "cusolverDnDpotrf refused its argument " + std::to_string(-status));
  }
  *positive = status == 0 && HasPositiveDiagonal(device, n, a, lda);
}

void SolveLower(Device& device, int32_t forward, int64_t n, const double* factor, int64_t ldf,
                int64_t m, double* x, int64_t ldx) {
  if (n == 0 || m == 0) return;
  if (!device.blas) {
    return forward ? BuiltInForward(device, n, factor, ldf, m, x, ldx)
                   : BuiltInBackward(device, n, factor, ldf, m, x, ldx);
  }
  // X is Xᵀ[n, m] in column-major, L the upper U = Lᵀ: Uᵀ Yᵀ = Xᵀ, or U Yᵀ = Xᵀ.
  const Blas& blas = *device.blas;
  const double one = 1;
  CheckBlas(blas.calls().trsm(blas.handle(), kSideLeft, kFillUpper, forward ? kOpT : kOpN,
                              kDiagNonUnit, Int(n), Int(m), &one, factor, Int(ldf), x, Int(ldx)),
            "cublasDtrsm");
}

void InvertFactored(Device& device, int64_t n, double* factor, double* root) {
  UnitMatrix(device, n, root);
  SolveLower(device, false, n, factor, n, n, root, n);
  GemmF64(device, true, false, n, n, n, 1, root, n, root, n, 0, factor, n);
}

}  // namespace struprune::cuda
