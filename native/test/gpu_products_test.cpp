// Products, Gram matrices and factors on the GPU. The reference is a sum of doubles;
// a tolerance is relative to the sum of the magnitudes of what was added.
#include <numeric>

#include "core/context.h"
#include "gpu_support.h"
#include "ops/cholesky.h"
#include "ops/gemm.h"

namespace struprune::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class GpuProducts : public GpuTest {};

struct Shape {
  size_t m, n, k;
};

// Reference and Σ|x||y| of op(A) op(B).
template <typename T>
struct Reference {
  std::vector<double> value, magnitude;
  Reference(bool ta, bool tb, Shape s, const std::vector<T>& a, size_t lda, const std::vector<T>& b,
            size_t ldb)
      : value(s.m * s.n), magnitude(s.m * s.n) {
    const size_t row = tb ? 1 : ldb, col = tb ? ldb : 1;
    for (size_t i = 0; i < s.m; ++i) {
      for (size_t k = 0; k < s.k; ++k) {
        const double x = ta ? a[k * lda + i] : a[i * lda + k];
        for (size_t j = 0; j < s.n; ++j) {
          const double term = x * b[k * row + j * col];
          value[i * s.n + j] += term;
          magnitude[i * s.n + j] += std::fabs(term);
        }
      }
    }
  }
};

template <typename T, typename Call>
void CheckGemm(const CudaDevice& gpu, double bound, Call call) {
  for (const Shape s : {Shape{1, 1, 1}, {5, 7, 0}, {130, 131, 65}, {3, 257, 19}, {200, 2, 33}}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        for (const double beta : {0.0, -0.5}) {
          const size_t lda = (ta ? s.m : s.k) + 3, ldb = (tb ? s.k : s.n) + 5, ldc = s.n + 2;
          const auto a = RandomValues<T>(std::max<size_t>(1, (ta ? s.k : s.m) * lda), 1);
          const auto b = RandomValues<T>(std::max<size_t>(1, (tb ? s.n : s.k) * ldb), 2);
          auto before = RandomValues<T>(s.m * ldc, 3);
          if (beta == 0) {  // what beta 0 must not read
            for (size_t i = 0; i < s.m; ++i) std::fill_n(&before[i * ldc], s.n, kNan);
          }
          const auto ag = Upload(gpu, a), bg = Upload(gpu, b), cg = Upload(gpu, before);
          call(ta, tb, s, static_cast<T>(1.5), ag.data(), Int(lda), bg.data(), Int(ldb),
               static_cast<T>(beta), cg.data(), Int(ldc));
          const auto got = Download(cg);
          const Reference<T> wanted(ta, tb, s, a, lda, b, ldb);
          for (size_t i = 0; i < s.m; ++i) {
            for (size_t j = 0; j < ldc; ++j) {
              const double old = before[i * ldc + j];
              if (j >= s.n) {
                ASSERT_EQ(got[i * ldc + j], before[i * ldc + j]) << "between the rows";
                continue;
              }
              const double rest = beta == 0 ? 0 : beta * old;
              const double value = 1.5 * wanted.value[i * s.n + j] + rest;
              const double magnitude = 1.5 * wanted.magnitude[i * s.n + j] + std::fabs(rest);
              ASSERT_LE(std::fabs(got[i * ldc + j] - value), bound * magnitude)
                  << s.m << "x" << s.n << "x" << s.k << (ta ? "T" : "N") << (tb ? "T" : "N")
                  << " at " << i << ", " << j;
            }
          }
        }
      }
    }
  }
}

TEST_P(GpuProducts, FloatsEqualSumsOfDoubles) {
  CheckGemm<float>(gpu(), BoundOf(GetParam(), 65),
                   [&](bool ta, bool tb, Shape s, float alpha, const float* a, int64_t lda,
                       const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
                     gpu().Call(&cuda::Api::gemm_f32, ta, tb, Int(s.m), Int(s.n), Int(s.k), alpha,
                                a, lda, b, ldb, beta, c, ldc, GetParam().precision);
                   });
}

TEST_P(GpuProducts, DoublesEqualSumsOfDoubles) {
  CheckGemm<double>(gpu(), 1e-14,
                    [&](bool ta, bool tb, Shape s, double alpha, const double* a, int64_t lda,
                        const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
                      gpu().Call(&cuda::Api::gemm_f64, ta, tb, Int(s.m), Int(s.n), Int(s.k), alpha,
                                 a, lda, b, ldb, beta, c, ldc);
                    });
}

// In two parts of the rows, and on top of what is there.
TEST_P(GpuProducts, GramsEqualSumsOfDoubles) {
  const size_t rows = TestedGpu().large ? 4099 : 700, dim = TestedGpu().large ? 1537 : 141,
               cut = dim / 3;
  // One for all kinds of products: it takes seconds.
  static const auto x = RandomValues<float>(rows * dim, 4);
  static const Reference<float> wanted(true, false, {dim, dim, rows}, x, dim, x, dim);
  const auto xg = Upload(gpu(), x);
  for (const auto& [from, count] : {std::pair(size_t{0}, cut), std::pair(cut, dim - cut)}) {
    const auto gram = Upload(gpu(), std::vector<double>(count * dim, 1.0));
    gpu().Call(&cuda::Api::gram_add, Int(rows), Int(dim), xg.data(), Int(from), Int(count),
               gram.data(), GetParam().precision);
    const auto got = Download(gram);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j <= from + i; ++j) {
        const size_t at = (from + i) * dim + j;
        ASSERT_LE(std::fabs(got[i * dim + j] - 1 - wanted.value[at]),
                  BoundOf(GetParam(), 512) * wanted.magnitude[at])
            << from + i << ", " << j;
      }
    }
  }
}

TEST_P(GpuProducts, CrossProductsEqualSumsOfDoubles) {
  const size_t rows = 530, dim = 70, out = 37;
  const auto x = RandomValues<float>(rows * dim, 5), r = RandomValues<float>(rows * out, 6);
  const Reference<float> wanted(true, false, {out, dim, rows}, r, out, x, dim);
  const auto xg = Upload(gpu(), x), rg = Upload(gpu(), r);
  for (const auto& [from, count] : {std::pair(size_t{0}, out), std::pair(size_t{16}, size_t{9})}) {
    // Of X all columns, or some in the middle.
    const size_t column = from > 0 ? 8 : 0, columns = from > 0 ? 33 : dim;
    const auto cross = Upload(gpu(), std::vector<double>(count * columns, -2.0));
    gpu().Call(&cuda::Api::cross_add, Int(rows), Int(out), Int(from), Int(count), Int(dim),
               Int(column), Int(columns), rg.data(), xg.data(), cross.data(), GetParam().precision);
    const auto got = Download(cross);
    for (size_t i = 0; i < got.size(); ++i) {
      const size_t at = (from + i / columns) * dim + column + i % columns;
      ASSERT_LE(std::fabs(got[i] + 2 - wanted.value[at]),
                BoundOf(GetParam(), 512) * wanted.magnitude[at]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuProducts, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return NameOf(info.param); });

class GpuFactors : public GpuTest {
 protected:
  // A Gram matrix of more rows than columns, in rows of stride n + 3.
  static std::vector<double> Positive(size_t n) {
    const auto x = RandomValues<double>(2 * n * n, 7);
    std::vector<double> a(n * (n + 3), -7);
    for (size_t i = 0; i < n; ++i) {
      double* const row = &a[i * (n + 3)];
      std::fill_n(row, n, 0.0);
      row[i] = 0.1;
      for (size_t t = 0; t < 2 * n; ++t) {
        for (size_t j = 0; j < n; ++j) row[j] += x[t * n + i] * x[t * n + j];
      }
    }
    return a;
  }
  std::vector<size_t> Sizes() const {
    return TestedGpu().large ? std::vector<size_t>{1, 33, 1000}
                             : std::vector<size_t>{1, 5, 32, 33, 101};
  }
};

TEST_P(GpuFactors, CholeskyAndSolvesEqualTheCpus) {
  InitialiseBlas();
  for (const size_t n : Sizes()) {
    const size_t ld = n + 3, rows = 19;
    auto wanted = Positive(n);
    auto x = RandomValues<double>(rows * ld, 8);
    const auto a = Upload(gpu(), wanted), right = Upload(gpu(), x);
    ASSERT_TRUE(Cholesky(n, wanted.data(), ld));
    int32_t positive = 0;
    gpu().Call(&cuda::Api::cholesky, Int(n), a.data(), Int(ld), &positive);
    EXPECT_EQ(positive, 1);
    auto factor = Download(a);
    // A library may work in the other triangle; our own kernels leave it alone.
    for (size_t i = 0; i < n && GetParam().libraries; ++i) {
      std::copy(&wanted[i * ld + i + 1], &wanted[i * ld + n], &factor[i * ld + i + 1]);
    }
    ExpectClose(factor, wanted, 1e-11, "factor");
    CholeskySolveRows(n, wanted.data(), ld, rows, x.data(), ld);
    for (const bool forward : {true, false}) {
      gpu().Call(&cuda::Api::solve_lower, forward, Int(n), a.data(), Int(ld), Int(rows),
                 right.data(), Int(ld));
    }
    ExpectClose(Download(right), x, 1e-9, "solution");
  }
}

TEST_P(GpuFactors, ANegativePivotIsSeen) {
  for (const size_t n : {size_t{1}, size_t{40}}) {
    auto values = Positive(n);
    values[(n - 1) * (n + 3) + n - 1] = -1;
    const auto a = Upload(gpu(), values);
    int32_t positive = 1;
    gpu().Call(&cuda::Api::cholesky, Int(n), a.data(), Int(n + 3), &positive);
    EXPECT_EQ(positive, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuFactors, testing::ValuesIn(ExactKinds()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test
