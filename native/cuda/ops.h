// The operations behind the table of abi.h, with the same contracts, on a device's compute stream.
#pragma once

#include "cuda/device.h"

namespace struprune::cuda {

// pointwise.cu
void FillZero(Device&, void* data, int64_t bytes);
void Rope(Device&, int64_t rows, int64_t heads, int64_t half, const float* cosine,
          const float* sine, float* x, int64_t stride, int64_t first, int64_t window);
void Activate(Device&, Gate kind, int64_t count, const float* gate, const float* up, float* out);
// See abi.h's activate_slopes and multiply_add.
void ActivateSlopes(Device&, Gate kind, int64_t count, float* gate, float* up, float* out);
void MultiplyAdd(Device&, int64_t count, const float* a, const float* b, float beta, float* to);
void AddBias(Device&, int64_t rows, int64_t cols, const float* bias, float* x);
void Combine(Device&, int64_t count, float alpha, const float* a, float beta, const float* b,
             float* to);
void Widen(Device&, Element from_type, int64_t count, const void* from, float* to);
void Narrow(Device&, Element to_type, int64_t count, const float* from, void* to);
// high and low[rows, cols] in rows of `stride`: bf16(x), bf16(x - high). low may be null.
void SplitBf16(Device&, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
               uint16_t* high, uint16_t* low, int64_t stride);
void AddToDouble(Device&, int64_t rows, int64_t cols, const float* from, int64_t from_stride,
                 double* to, int64_t to_stride);
// *finite <- 0 where a value is not finite; else it stays.
void TestFinite(Device&, int64_t count, const float* x, int32_t* finite);

// columns.cu
void MaskColumns(Device&, int64_t rows, int64_t groups, int64_t group, const uint8_t* keep,
                 float* x);
void GatherColumns(Device&, int64_t rows, int64_t count, const int32_t* indices, const float* from,
                   int64_t from_stride, float* to, int64_t to_stride);
void ScatterColumns(Device&, int64_t rows, int64_t count, const int32_t* indices, const float* from,
                    int64_t from_stride, float* to, int64_t to_stride);
void GatherRows(Device&, int64_t count, int64_t cols, const int32_t* indices, const float* from,
                float* to);
void GatherRows(Device&, int64_t count, int64_t cols, const int32_t* indices, const double* from,
                double* to);
void MomentsAdd(Device&, int64_t rows, int64_t dim, const float* x, double* squares, double* sums);
void GroupEnergies(Device&, int64_t rows, int64_t groups, int64_t group, const double* w,
                   const double* u, double* energies);
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
void AdmmRight(Device&, int64_t count, double rho, const double* right, const double* z,
               const double* u, double* to);
void AdmmProject(Device&, int64_t rows, int64_t groups, int64_t group, const uint8_t* keep,
                 const double* w, const double* u, double* z, double* moved);
void AdmmDual(Device&, int64_t count, const double* w, const double* z, double* u, double* sums);
// *sum <- Σ of squares off the diagonal; sum[1] <- those on it.
void OffDiagonal(Device&, int64_t n, const double* a, int64_t lda, double* sum);

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
void GemmBf16(Device&, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, float alpha,
              const void* a, int64_t lda, const void* b, int64_t ldb, float beta, float* c,
              int64_t ldc);
void GemmF64(Device&, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, double alpha,
             const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
             int64_t ldc);
void GramAdd(Device&, int64_t rows, int64_t dim, const float* x, int64_t row, int64_t count,
             double* gram, Precision precision);
void CrossAdd(Device&, int64_t rows, int64_t residual_dim, int64_t row, int64_t count, int64_t dim,
              int64_t column, int64_t columns, const float* residual, const float* x, double* cross,
              Precision precision);
// The most that one of the above takes from the slab while it runs.
uint64_t GramScratch(const Device&, int64_t rows, int64_t count, int64_t dim, Precision precision);
uint64_t CrossScratch(const Device&, int64_t rows, int64_t residual_dim, int64_t count, int64_t dim,
                      int64_t columns, Precision precision);

// factor.cu, eigen.cu
void CholeskyBytes(Device&, int64_t n, uint64_t* bytes);
void Cholesky(Device&, int64_t n, double* a, int64_t lda, int32_t* positive);
void SolveRows(Device&, int64_t n, const double* factor, int64_t ldf, int64_t m, double* x,
               int64_t ldx);
void SolveLower(Device&, int32_t forward, int64_t n, const double* factor, int64_t ldf, int64_t m,
                double* x, int64_t ldx);
void InvertFactored(Device&, int64_t n, double* factor, double* root);
void Eigen(Device&, int64_t n, double* a, int64_t lda, double* w);

}  // namespace struprune::cuda
