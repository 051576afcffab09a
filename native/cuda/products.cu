// Matrix products, Gram matrices: cuBLAS where it is there, else the built-in tiles.
#include <algorithm>

#include "cuda/gemm_kernels.h"
#include "cuda/ops.h"

namespace struprune::cuda {
namespace {

int64_t PageOf(const Device& device, Precision precision) {
  return ProductRows(device.blas != nullptr, precision);
}
// Rows of its result that one cuBLAS product makes. Of a Gram matrix half of the symmetric work is
// left out by blocks: one of 2,048 × 2,048 fills a GPU of 132 multiprocessors once, and lower
// strips leave most of it idle, which costs more than the halves of higher ones that are made for
// nothing (nor would diagonal blocks of half the size in one batch fill it fewer times). Other
// products are as wide from the first strip on, and take less memory.
int64_t StripRows(bool lower) { return lower ? 2048 : 1024; }

// Row-major C = op(A) op(B) is column-major Cᵀ = op(B)ᵀ op(A)ᵀ: operands change places.
void CallBlas(Device& device, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void* alpha,
              const void* a, int64_t lda, const void* b, int64_t ldb, const void* beta, void* c,
              int64_t ldc, int operand, int result, int compute) {
  const Blas& blas = *device.blas;
  CheckBlas(blas.calls().gemm(blas.handle(), tb ? kOpT : kOpN, ta ? kOpT : kOpN, Int(n), Int(m),
                              Int(k), alpha, b, operand, Int(ldb), a, operand, Int(lda), beta, c,
                              result, Int(ldc), compute, kAlgoDefault),
            "cublasGemmEx");
}

// Stride of rows of `cols` numbers that cuBLAS reads and writes in vectors.
int64_t Padded(int64_t cols) { return CeilDiv(cols, 8) * 8; }

Parts Split(Device& device, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
            Precision precision) {
  Parts parts(device, rows, cols, precision);
  SplitBf16(device, rows, cols, x, x_stride, parts.high.data(), parts.low.data(), parts.stride);
  return parts;
}

// Of A its columns from a_at on, of B from b_at on. The small products first, so that the large one
// is added to their sum; low * low is left out.
void MultiplyParts(Device& device, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                   const Parts& a, int64_t a_at, const Parts& b, int64_t b_at, float beta, float* c,
                   int64_t ldc) {
  const auto add = [&](const Array<uint16_t>& left, const Array<uint16_t>& right, float keep) {
    CallBlas(device, ta, tb, m, n, k, &alpha, left.data() + a_at, a.stride, right.data() + b_at,
             b.stride, &keep, c, ldc, kTypeBf16, kTypeF32, kComputeF32);
  };
  float keep = beta;
  if (a.low.data()) {
    add(a.low, b.high, keep);
    add(a.high, b.low, 1.0f);
    keep = 1.0f;
  }
  add(a.high, b.high, keep);
}

// to += leftᵀ right over `rows` tokens, for columns [from, from + count) of either. `lower`: right
// is left, and of each row of `to` what lies left of the diagonal and on it is made.
struct TokenProduct {
  const float* left;
  int64_t left_dim, left_from, left_count;
  const float* right;
  int64_t right_dim, right_from, right_count;
  double* to;
  int64_t to_stride;
  bool lower = false;
};

void AddProductPage(Device& device, int64_t rows, const TokenProduct& t, Precision precision) {
  const auto columns_to = [&](int64_t row) { return t.lower ? t.left_from + row : t.right_count; };
  if (!device.blas) {
    Product<float, double> p;
    p.m = t.left_count, p.n = columns_to(t.left_count), p.k = rows;
    p.a = t.left + t.left_from, p.lda = t.left_dim;
    p.b = t.right + t.right_from, p.ldb = t.right_dim;
    p.beta = 1, p.c = t.to, p.ldc = t.to_stride, p.lower = t.lower, p.diagonal = t.left_from;
    MultiplyTiled(p, device.compute);
    return;
  }
  const bool split = IsSplit(device, precision), same = t.left == t.right;
  Parts left_parts, right_parts;
  if (split) {
    right_parts = Split(device, rows, t.right_dim, t.right, t.right_dim, precision);
    if (!same) left_parts = Split(device, rows, t.left_dim, t.left, t.left_dim, precision);
  }
  const int64_t strip = StripRows(t.lower);
  auto product =
      device.Allocate<float>(std::min(strip, t.left_count) * Padded(columns_to(t.left_count)));
  const float one = 1, zero = 0;
  for (int64_t at = 0; at < t.left_count; at += strip) {
    const int64_t height = std::min(strip, t.left_count - at), first = t.left_from + at;
    const int64_t cols = columns_to(at + height), stride = Padded(cols);
    if (split) {
      MultiplyParts(device, true, false, height, cols, rows, 1, same ? right_parts : left_parts,
                    first, right_parts, t.right_from, 0, product.data(), stride);
    } else {
      CallBlas(device, true, false, height, cols, rows, &one, t.left + first, t.left_dim,
               t.right + t.right_from, t.right_dim, &zero, product.data(), stride, kTypeF32,
               kTypeF32,
               precision == Precision::kTf32 ? int{kComputeTf32} : int{kComputeF32Pedantic});
    }
    AddToDouble(device, height, cols, product.data(), stride, t.to + at * t.to_stride, t.to_stride);
  }
}

void AddProduct(Device& device, int64_t rows, TokenProduct t, Precision precision) {
  const int64_t page = PageOf(device, precision);
  for (int64_t row = 0; row < rows; row += page) {
    AddProductPage(device, std::min(page, rows - row), t, precision);
    t.left += page * t.left_dim;
    t.right += page * t.right_dim;
  }
}

}  // namespace

bool IsSplit(const Device& device, Precision precision) {
  return device.blas && (precision == Precision::kBf16x3 || precision == Precision::kBf16);
}

Parts::Parts(Device& device, int64_t rows, int64_t cols, Precision precision)
    : stride(Padded(cols)),
      high(device.Allocate<uint16_t>(rows * stride)),
      low(device.Allocate<uint16_t>(precision == Precision::kBf16x3 ? rows * stride : 0)) {}

void GemmParts(Device& device, bool tb, int64_t m, int64_t n, int64_t k, const float* a,
               const Parts& b, float beta, float* c, Precision precision) {
  if (m == 0 || n == 0 || k == 0) return;
  const Parts left = Split(device, m, k, a, k, precision);
  MultiplyParts(device, false, tb, m, n, k, 1, left, 0, b, 0, beta, c, n);
}

void GemmF32(Device& device, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, float alpha,
             const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
             int64_t ldc, Precision precision) {
  if (m == 0 || n == 0) return;
  // cuBLAS treats an empty sum as it likes; the built-in product scales C and is done.
  if (!device.blas || k == 0) {
    Product<float, float> p{m, n, k, alpha, a, lda, b, ldb, beta, c, ldc};
    MultiplyTiled(ta != 0, tb != 0, p, device.compute);
    return;
  }
  if (IsSplit(device, precision)) {
    const Parts left = Split(device, ta ? k : m, ta ? m : k, a, lda, precision);
    const Parts right = Split(device, tb ? n : k, tb ? k : n, b, ldb, precision);
    MultiplyParts(device, ta != 0, tb != 0, m, n, k, alpha, left, 0, right, 0, beta, c, ldc);
    return;
  }
  CallBlas(device, ta != 0, tb != 0, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc, kTypeF32,
           kTypeF32, precision == Precision::kTf32 ? int{kComputeTf32} : int{kComputeF32Pedantic});
}

void GemmF64(Device& device, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, double alpha,
             const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
             int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (!device.blas || k == 0) {
    Product<double, double> p{m, n, k, alpha, a, lda, b, ldb, beta, c, ldc};
    MultiplyTiled(ta != 0, tb != 0, p, device.compute);
    return;
  }
  CallBlas(device, ta != 0, tb != 0, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc, kTypeF64,
           kTypeF64, kComputeF64);
}

void GramAdd(Device& device, int64_t rows, int64_t dim, const float* x, int64_t row, int64_t count,
             double* gram, Precision precision) {
  AddProduct(device, rows, {x, dim, row, count, x, dim, 0, dim, gram, dim, true}, precision);
}

void CrossAdd(Device& device, int64_t rows, int64_t residual_dim, int64_t row, int64_t count,
              int64_t dim, int64_t column, int64_t columns, const float* residual, const float* x,
              double* cross, Precision precision) {
  AddProduct(device, rows,
             {residual, residual_dim, row, count, x, dim, column, columns, cross, columns},
             precision);
}

namespace {

// What AddProductPage takes for an operand of `cols` columns, and for `height` rows of its result.
uint64_t OperandBytes(const Device& device, int64_t rows, int64_t cols, Precision precision) {
  if (!IsSplit(device, precision)) return 0;
  return PartsBytes(std::min(rows, PageOf(device, precision)), cols, precision);
}
uint64_t ResultBytes(const Device& device, int64_t height, int64_t dim, bool lower) {
  if (!device.blas) return 0;
  return ArrayBytes<float>(std::min(StripRows(lower), height) * Padded(dim));
}

}  // namespace

void GemmBytes(Device& device, int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k,
               Precision precision, uint64_t* bytes) {
  *bytes = 0;
  if (!IsSplit(device, precision)) return;
  *bytes =
      PartsBytes(ta ? k : m, ta ? m : k, precision) + PartsBytes(tb ? n : k, tb ? k : n, precision);
}

void GramBytes(Device& device, int64_t rows, int64_t dim, int64_t count, Precision precision,
               uint64_t* bytes) {
  *bytes = OperandBytes(device, rows, dim, precision) + ResultBytes(device, count, dim, true);
}

void CrossBytes(Device& device, int64_t rows, int64_t residual_dim, int64_t count, int64_t dim,
                int64_t columns, Precision precision, uint64_t* bytes) {
  *bytes = OperandBytes(device, rows, residual_dim, precision) +
           OperandBytes(device, rows, dim, precision) + ResultBytes(device, count, columns, false);
}

uint64_t PartsBytes(int64_t rows, int64_t cols, Precision precision) {
  const uint64_t one = ArrayBytes<uint16_t>(rows * Padded(cols));
  return precision == Precision::kBf16x3 ? 2 * one : one;
}

}  // namespace struprune::cuda
