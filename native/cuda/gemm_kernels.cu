#include "cuda/gemm_kernels.h"

namespace struprune::cuda {
namespace {

// A tile of C [BM, BN] a block of 256 threads, TM × TN cells a thread; a slice of BK of the sums in
// shared memory at a time. A thread's cells lie apart by the number of threads along that side, so
// that neighbouring threads touch neighbouring words of shared and global memory.
template <typename T, typename Out, int BM, int BN, int BK, int TM, int TN, bool TA, bool TB>
__global__ void __launch_bounds__(256) TiledKernel(Product<T, Out> p) {
  constexpr int kCols = BN / TN, kRows = BM / TM;
  static_assert(kCols * kRows == 256, "one thread for every TM x TN cells");
  __shared__ T as[BK][BM + 1];
  __shared__ T bs[BK][BN + 1];
  const int tid = static_cast<int>(threadIdx.x);
  const int tx = tid % kCols, ty = tid / kCols;
  const int64_t row0 = static_cast<int64_t>(blockIdx.y) * BM;
  const int64_t col0 = static_cast<int64_t>(blockIdx.x) * BN;
  // The same for all threads of the block: no barrier is skipped by some.
  if (p.lower && col0 > row0 + BM - 1 + p.diagonal) return;

  T sums[TM][TN];
#pragma unroll
  for (int i = 0; i < TM; ++i) {
#pragma unroll
    for (int j = 0; j < TN; ++j) sums[i][j] = 0;
  }
  for (int64_t k0 = 0; k0 < p.k; k0 += BK) {
    for (int at = tid; at < BM * BK; at += 256) {
      const int i = TA ? at % BM : at / BK, kk = TA ? at / BM : at % BK;
      const int64_t row = row0 + i, depth = k0 + kk;
      T value = 0;
      if (row < p.m && depth < p.k)
        value = TA ? p.a[depth * p.lda + row] : p.a[row * p.lda + depth];
      as[kk][i] = value;
    }
    for (int at = tid; at < BN * BK; at += 256) {
      const int j = TB ? at / BK : at % BN, kk = TB ? at % BK : at / BN;
      const int64_t col = col0 + j, depth = k0 + kk;
      T value = 0;
      if (col < p.n && depth < p.k)
        value = TB ? p.b[col * p.ldb + depth] : p.b[depth * p.ldb + col];
      bs[kk][j] = value;
    }
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < BK; ++kk) {
      T left[TM], right[TN];
#pragma unroll
      for (int i = 0; i < TM; ++i) left[i] = as[kk][ty + i * kRows];
#pragma unroll
      for (int j = 0; j < TN; ++j) right[j] = bs[kk][tx + j * kCols];
#pragma unroll
      for (int i = 0; i < TM; ++i) {
#pragma unroll
        for (int j = 0; j < TN; ++j) sums[i][j] += left[i] * right[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < TM; ++i) {
    const int64_t row = row0 + ty + i * kRows;
    if (row >= p.m) continue;
#pragma unroll
    for (int j = 0; j < TN; ++j) {
      const int64_t col = col0 + tx + j * kCols;
      if (col >= p.n || (p.lower && col > row + p.diagonal)) continue;
      Out* cell = p.c + row * p.ldc + col;
      // beta 0 must not read C, which may hold anything.
      const Out before = p.beta == Out(0) ? Out(0) : p.beta * *cell;
      *cell = p.alpha * static_cast<Out>(sums[i][j]) + before;
    }
  }
}

template <typename T, typename Out, int BM, int BN, int BK, int TM, int TN, bool TA, bool TB>
void Run(const Product<T, Out>& p, cudaStream_t stream) {
  if (p.m == 0 || p.n == 0) return;
  const dim3 grid(static_cast<unsigned>(CeilDiv(p.n, BN)), GridAxis(CeilDiv(p.m, BM), "a product"));
  Launch("a product", TiledKernel<T, Out, BM, BN, BK, TM, TN, TA, TB>, grid, dim3(256), stream, p);
}

template <typename T, int BM, int BN, int BK, int TM, int TN>
void Choose(bool ta, bool tb, const Product<T, T>& p, cudaStream_t stream) {
  if (ta && tb) return Run<T, T, BM, BN, BK, TM, TN, true, true>(p, stream);
  if (ta) return Run<T, T, BM, BN, BK, TM, TN, true, false>(p, stream);
  if (tb) return Run<T, T, BM, BN, BK, TM, TN, false, true>(p, stream);
  return Run<T, T, BM, BN, BK, TM, TN, false, false>(p, stream);
}

}  // namespace

void MultiplyTiled(bool ta, bool tb, const Product<float, float>& p, cudaStream_t stream) {
  Choose<float, 128, 128, 16, 8, 8>(ta, tb, p, stream);
}

void MultiplyTiled(bool ta, bool tb, const Product<double, double>& p, cudaStream_t stream) {
  Choose<double, 64, 64, 16, 4, 4>(ta, tb, p, stream);
}

void MultiplyTiled(const Product<float, double>& p, cudaStream_t stream) {
  Run<float, double, 128, 128, 16, 8, 8, true, false>(p, stream);
}

}  // namespace struprune::cuda
