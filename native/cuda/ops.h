// The operations behind the table of abi.h, with the same contracts, on a device's compute stream.
#pragma once

#include "cuda/device.h"

namespace struprune::cuda {

// pointwise.cu
void Fill(Device&, void* data, int32_t byte, int64_t bytes);
void Rope(Device&, int64_t rows, int64_t heads, int64_t head_dim, int64_t half, const float* cosine,
          const float* sine, float* x, int64_t stride, int64_t first, int64_t window);
void Activate(Device&, Gate kind, int64_t count, const float* gate, const float* up, float* out);
// See abi.h's activate_slopes and multiply_add.
void ActivateSlopes(Device&, Gate kind, int64_t count, float* gate, float* up, float* out);
void MultiplyAdd(Device&, int64_t count, const float* a, const float* b, float beta, float* to);
void AddBias(Device&, int64_t rows, int64_t cols, const float* bias, float* x);
void Combine(Device&, int64_t count, float alpha, const float* a, float beta, const float* b,
             float* to);
// high and low[rows, cols] in rows of `stride`: bf16(x), bf16(x - high). low may be null.
void SplitBf16(Device&, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
               uint16_t* high, uint16_t* low, int64_t stride);
void AddToDouble(Device&, int64_t rows, int64_t cols, const float* from, int64_t from_stride,
                 double* to, int64_t to_stride);
void AddDoubles(Device&, int64_t count, const double* from, double* to);
void TestFinite(Device&, int64_t count, const float* x, int32_t* finite);

// columns.cu
void MomentsAdd(Device&, int64_t rows, int64_t dim, const float* x, double* squares, double* sums);
// x[n, n] = 1
void UnitMatrix(Device&, int64_t n, double* x);
// See abi.h's diagonal and compact.
void ReadDiagonal(Device&, int64_t n, const double* a, int64_t lda, double* to);
void Compact(Device&, int64_t n, int64_t count, const int32_t* indices, double* a);

// rows.cu
void NormRows(Device&, Norm kind, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
              const float* weight, const float* bias, float eps, float* out, int64_t out_stride);

// sums.cu
void SquaredDistance(Device&, int64_t count, const float* a, const float* b, double* sum);

// attention.cu
void Attention(Device&, const AttentionShape* shape, int64_t windows, const float* q,
               const float* k, const float* v, float* out);

// products.cu
// Whether operands of a product become bf16 parts.
bool IsSplit(const Device&, Precision precision);
// A matrix as bf16 parts, in rows of whole 16 bytes: cuBLAS has its fast kernels for those alone.
struct Parts {
  Parts() = default;
  Parts(Device&, int64_t rows, int64_t cols, Precision precision);
  int64_t stride = 0;
  Array<uint16_t> high, low;  // low: BF16x3 alone
};
uint64_t PartsBytes(int64_t rows, int64_t cols, Precision precision);
void GemmF32(Device&, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, float alpha,
             const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
             int64_t ldc, Precision precision);
// C[m, n] = a[m, k] op(b) + beta C for a b[k, n], or [n, k] where it is transposed, that was split
// before (IsSplit).
void GemmParts(Device&, bool tb, int64_t m, int64_t n, int64_t k, const float* a, const Parts& b,
               float beta, float* c, Precision precision);
void GemmF64(Device&, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, double alpha,
             const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
             int64_t ldc);
void GramAdd(Device&, int64_t rows, int64_t dim, const float* x, int64_t row, int64_t count,
             double* gram, Precision precision);
void CrossAdd(Device&, int64_t rows, int64_t residual_dim, int64_t row, int64_t count, int64_t dim,
              int64_t column, int64_t columns, const float* residual, const float* x, double* cross,
              Precision precision);
// See abi.h.
void GemmBytes(Device&, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k,
               Precision precision, uint64_t* bytes);
void GramBytes(Device&, int64_t rows, int64_t dim, int64_t count, Precision precision,
               uint64_t* bytes);
void CrossBytes(Device&, int64_t rows, int64_t residual_dim, int64_t count, int64_t dim,
                int64_t columns, Precision precision, uint64_t* bytes);

// factor.cu
void CholeskyBytes(Device&, int64_t n, uint64_t* bytes);
void Cholesky(Device&, int64_t n, double* a, int64_t lda, int32_t* positive);
void SolveLower(Device&, int32_t forward, int64_t n, const double* factor, int64_t ldf, int64_t m,
                double* x, int64_t ldx);
void InvertFactored(Device&, int64_t n, double* factor, double* root);

}  // namespace struprune::cuda
