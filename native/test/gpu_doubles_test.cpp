// Linear algebra in doubles on the GPU (tiles/doubles_on_device.h) against the CPU's tiles: the
// same calls, in a context with a GPU and in one without.
#include "gpu_support.h"
#include "ops/gemm.h"
#include "solver/sweep.h"
#include "tiles/cholesky.h"
#include "tiles/doubles_on_device.h"
#include "tiles/multiply.h"
#include "tiles/strips.h"

namespace struprune::test {
namespace {

// Tiles of 16: sides divide into several, whose last one is shorter.
constexpr size_t kSide = 16;
size_t Large() { return TestedGpu().large ? 1203 : 67; }

class GpuDoubles : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (!IsSkipped() && !gpu().fast_doubles()) GTEST_SKIP() << "the GPU is slow at doubles";
    InitialiseBlas();
  }
  // With everything worth it.
  std::shared_ptr<CudaDevice> Eager(uint64_t budget = TestedGpu().budget) const {
    CudaOptions options = gpu_->options();
    options.budget = budget;
    options.least_flops = options.least_intensity = 0;
    return std::make_shared<CudaDevice>(CudaLibrary::Load(TestedGpu().library), options);
  }
  static TileSpace Space(std::shared_ptr<CudaDevice> device) {
    auto context = std::make_shared<Context>(2, 0);
    context->gpu = std::move(device);
    TileSpace space = InMemory(std::move(context));
    space.side = kSide;
    return space;
  }
  static TileMatrix<double> Random(const TileSpace& space, size_t rows, size_t cols, uint32_t seed,
                                   Shape shape = Shape::kFull) {
    TileMatrix<double> matrix(space, rows, cols, shape);
    auto values = RandomValues<double>(rows * cols, seed);
    for (size_t i = 0; shape != Shape::kFull && i < rows; ++i) {
      for (size_t j = i + 1; j < cols; ++j) {
        values[i * cols + j] = shape == Shape::kSymmetric ? values[j * cols + i] : 0;
      }
    }
    WriteRows(matrix, 0, rows, values.data());
    return matrix;
  }
  // A Aᵀ + n I.
  static TileMatrix<double> Positive(const TileSpace& space, size_t n, uint32_t seed) {
    const auto values = RandomValues<double>(n * n, seed);
    std::vector<double> square(n * n);
    Gemm(Trans::kNo, Trans::kYes, n, n, n, 1, values.data(), n, values.data(), n, 0, square.data(),
         n);
    for (size_t i = 0; i < n; ++i) square[i * n + i] += static_cast<double>(n);
    TileMatrix<double> matrix(space, n, n, Shape::kSymmetric);
    WriteRows(matrix, 0, n, square.data());
    return matrix;
  }
  // make(space) on either, which must agree; and the GPU must have done it.
  template <typename Make>
  void Compare(const char* what, Make make) const {
    SCOPED_TRACE(what);
    const auto device = Eager();
    const uint64_t used = device->memory().used, peak = device->memory().peak;
    const auto wanted = make(Space(nullptr));
    ExpectClose(make(Space(device)), wanted, 1e-11, what);
    EXPECT_GT(device->memory().peak, peak) << "it was not done there";
    EXPECT_EQ(device->memory().used, used) << "everything was given back";
    // With too little for any of it the CPU does it, to the last bit.
    EXPECT_EQ(make(Space(Eager(uint64_t{44} << 10))), wanted);
  }
};

TEST_P(GpuDoubles, Products) {
  const size_t m = Large(), n = m - 20, k = m - 9;
  const auto all = [&](const auto& multiply) {
    return [&, multiply](const TileSpace& space) { return AllOf(multiply(space)); };
  };
  for (const double beta : {0.0, -0.5}) {
    Compare("plain", all([&](const TileSpace& space) {
              auto c = Random(space, m, n, 3);
              Multiply(2, {Random(space, m, k, 1)}, {Random(space, k, n, 2)}, beta, c);
              return c;
            }));
    Compare("transposed", all([&](const TileSpace& space) {
              auto c = Random(space, m, n, 3);
              Multiply(-1, {Random(space, k, m, 1), Trans::kYes},
                       {Random(space, n, k, 2), Trans::kYes}, beta, c);
              return c;
            }));
    Compare("by itself, into a symmetric one", all([&](const TileSpace& space) {
              auto c = Random(space, m, m, 3, Shape::kSymmetric);
              const auto a = Random(space, k, m, 1);
              Multiply(1, {a, Trans::kYes}, {a}, beta, c);
              return c;
            }));
    Compare("symmetric and lower", all([&](const TileSpace& space) {
              auto c = Random(space, m, m, 3);
              Multiply(1, {Random(space, m, m, 1, Shape::kSymmetric)},
                       {Random(space, m, m, 2, Shape::kLower), Trans::kYes}, beta, c);
              return c;
            }));
  }
}

TEST_P(GpuDoubles, FactorsSolvesAndInverses) {
  const size_t n = Large(), m = n / 3;
  Compare("factor", [&](const TileSpace& space) {
    auto a = Positive(space, n, 1);
    EXPECT_TRUE(FactorCholesky(a));
    EXPECT_EQ(a.shape(), Shape::kLower);
    return AllOf(a);
  });
  for (const bool forward : {true, false}) {
    Compare(forward ? "forward" : "backward", [&](const TileSpace& space) {
      auto a = Positive(space, n, 1);
      EXPECT_TRUE(FactorCholesky(a));
      auto x = Random(space, m, n, 2);
      (forward ? SolveForward : SolveBackward)(a, x);
      return AllOf(x);
    });
  }
  Compare("inverses", [&](const TileSpace& space) {
    auto a = Positive(space, n, 1);
    EXPECT_TRUE(FactorCholesky(a));
    auto both = AllOf(InvertLower(a));
    const auto inverse = AllOf(InvertFactored(a));
    both.insert(both.end(), inverse.begin(), inverse.end());
    return both;
  });
  const auto space = Space(Eager());
  const auto lower = Random(space, n, n, 1, Shape::kLower);
  TileMatrix<double> inverse(space, n, n, Shape::kSymmetric);
  EXPECT_TRUE(InvertOnDevice(lower, inverse)) << "in one piece, not by the solve and the product";
  // What cannot be factored is refused by both, NaNs too, which cuSOLVER takes.
  for (const double value : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    auto bad = Positive(Space(Eager()), n, 1);
    for (size_t i = 0; i < bad.rows().tiles(); ++i) {
      const auto tile = bad.Update(i, i);
      for (size_t r = 0; r < tile.rows; ++r) tile.row(r)[r] = value;
    }
    EXPECT_FALSE(FactorCholesky(bad));
  }
}

// Every kind of step of a sweep that keeps its matrices there: removals within a batch, updates,
// and what is left of them put together.
TEST_P(GpuDoubles, Sweeps) {
  for (const size_t group : {1, 6}) {
    SCOPED_TRACE(group);
    const size_t in = Large() / group * group, out = in / 2;
    const auto sweep = [&](const TileSpace& space) {
      SiteInput input;
      input.tokens = 100;
      input.group = group;
      input.gram = std::make_shared<TileMatrix<double>>(Positive(space, in, 1));
      input.sums.assign(in, 0);
      auto weight = std::make_shared<TileMatrix<float>>(space, out, in);
      WriteRows(*weight, 0, out, RandomValues<float>(out * in, 2).data());
      input.weight = weight;
      SweepOptions options;
      options.max_removed = in / group * 4 / 5;
      options.batch = 5;
      return Sweep(SiteProblem(std::move(input)), options);
    };
    const auto device = Eager();
    const uint64_t used = device->memory().used;
    EXPECT_TRUE(SweepOnDevice::Make(Random(Space(device), in, in, 1, Shape::kSymmetric),
                                    Random(Space(device), in, in, 1, Shape::kSymmetric), 5, 1));
    const SweepResult wanted = sweep(Space(nullptr)), got = sweep(Space(device));
    EXPECT_EQ(got.order, wanted.order);
    ExpectClose(got.cost, wanted.cost, 1e-9, "cost");
    ExpectClose(got.error, wanted.error, 1e-9, "error");
    EXPECT_EQ(got.refactorings, 0);
    EXPECT_EQ(device->memory().used, used);
    EXPECT_LE(device->memory().peak, device->memory().limit);
  }
}

// What a sweep takes is what it asks for: there is room for both matrices and its factors, and not
// for more.
TEST_P(GpuDoubles, ASweepTakesNoMoreThanItSays) {
  const size_t m = Large(), batch = 7;
  const uint64_t wanted = sizeof(double) * m * (2 * m + 2 * batch + 2 + cuda::kCompactRows) + 4096;
  const auto make = [&](uint64_t room) {
    CudaOptions options = gpu_->options();
    options.least_flops = options.least_intensity = 0;
    options.budget = (room + std::max<uint64_t>(16 << 10, room / 15) + 255) / 256 * 256;
    return std::make_shared<CudaDevice>(CudaLibrary::Load(TestedGpu().library), options);
  };
  const auto fits = [&](const std::shared_ptr<CudaDevice>& device) {
    const TileSpace space = Space(device);
    auto p = Positive(Space(nullptr), m, 1);
    const auto values = AllOf(p);
    TileMatrix<double> there(space, m, m, Shape::kSymmetric);
    WriteRows(there, 0, m, values.data());
    auto sweep = SweepOnDevice::Make(there, there, batch, m);
    if (!sweep) return false;
    std::vector<int32_t> places;
    for (size_t i = 0; i < m; i += 2) places.push_back(static_cast<int32_t>(i));
    sweep->Compact(places);
    std::vector<double> row(places.size()), other(places.size());
    sweep->Rows(1, 1, row.data(), other.data());
    for (size_t i = 0; i < places.size(); ++i) EXPECT_EQ(row[i], values[2 * m + 2 * i]);
    EXPECT_EQ(other, row);
    sweep->Diagonals(row.data(), other.data());
    for (size_t i = 0; i < places.size(); ++i) EXPECT_EQ(row[i], values[2 * i * (m + 1)]);
    return true;
  };
  EXPECT_TRUE(fits(make(wanted)));
  EXPECT_FALSE(fits(make(wanted * 9 / 10)));
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuDoubles, testing::Values(ExactKinds()[1]),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test
