// Sums and products of cells on the GPU against plain loops of doubles.
#include <random>

#include "backend/segment_sums_on_device.h"
#include "gpu_support.h"

namespace struprune::test {
namespace {

class GpuSteps : public GpuTest {
 protected:
  // Odd shapes: more cells than one grid of threads.
  const size_t rows_ = TestedGpu().large ? 4099 : 67, cols_ = TestedGpu().large ? 4095 : 129,
               cells_ = rows_ * cols_;
};

TEST_P(GpuSteps, MomentsAndDistances) {
  const auto x = RandomValues<float>(cells_, 1), y = RandomValues<float>(cells_, 2);
  const auto xg = Upload(gpu(), x), yg = Upload(gpu(), y);
  const auto squares = Upload(gpu(), std::vector<double>(cols_, 3)),
             sums = Upload(gpu(), std::vector<double>(cols_, 4)),
             loss = Upload(gpu(), std::vector<double>(1, 5)),
             energy = Upload(gpu(), std::vector<double>(1, 6));
  gpu().Call(&cuda::Api::moments_add, Int(rows_), Int(cols_), xg.data(), squares.data(),
             sums.data());
  gpu().Call(&cuda::Api::squared_distance, Int(cells_), xg.data(), yg.data(), loss.data());
  gpu().Call(&cuda::Api::squared_distance, Int(cells_), xg.data(), nullptr, energy.data());
  std::vector<double> square(cols_, 3), sum(cols_, 4), distance(1, 5), total(1, 6);
  for (size_t i = 0; i < cells_; ++i) {
    const double value = x[i], gap = value - y[i];
    square[i % cols_] += value * value;
    sum[i % cols_] += value;
    distance[0] += gap * gap;
    total[0] += value * value;
  }
  ExpectClose(Download(squares), square, 1e-12);
  ExpectClose(Download(sums), sum, 1e-12);
  ExpectClose(Download(loss), distance, 1e-12);
  ExpectClose(Download(energy), total, 1e-12);
}

TEST_P(GpuSteps, ProductsOfCells) {
  const auto a = RandomValues<float>(cells_, 1), b = RandomValues<float>(cells_, 2);
  const auto c = RandomValues<float>(cells_, 3);
  const auto ag = Upload(gpu(), a), bg = Upload(gpu(), b), added = Upload(gpu(), c);
  // What was there must not count, not even where it is no number.
  const auto written =
      Upload(gpu(), std::vector<float>(cells_, std::numeric_limits<float>::quiet_NaN()));
  gpu().Call(&cuda::Api::multiply_add, Int(cells_), ag.data(), bg.data(), 0, written.data());
  gpu().Call(&cuda::Api::multiply_add, Int(cells_), ag.data(), bg.data(), -2, added.data());
  std::vector<float> product(cells_), sum(cells_);
  for (size_t i = 0; i < cells_; ++i) {
    product[i] = a[i] * b[i];
    sum[i] = a[i] * b[i] - 2 * c[i];
  }
  ExpectClose(Download(written), product, 1e-6, "product");
  ExpectClose(Download(added), sum, 1e-6, "sum");
}

TEST_P(GpuSteps, SegmentsAreJoinedAsOnTheHost) {
  constexpr size_t kPage = 2, kRows = 37 * kPage;
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  std::vector<double> values(kRows);
  for (double& value : values) value = normal(random);
  const Segments segments(kRows, kPage);
  SegmentSumsOnDevice sums(gpu(), 2, segments);
  for (const char* time : {"fresh", "begun anew"}) {
    sums.Begin();
    for (size_t row = 0; row < kRows; ++row) {
      const auto both = Upload(gpu(), std::vector<double>{values[row], 2 * values[row]});
      gpu().Call(&cuda::Api::add_doubles, 2, both.data(), sums.At(segments.At(row)));
    }
    std::vector<double> total(2);
    CopyOut(gpu(), cuda::Queue::kCompute, sums.Total(), total.data(), total.size());
    gpu().Call(&cuda::Api::synchronise, cuda::Queue::kCompute);
    const double wanted = SumOfTokens(values, kPage);
    EXPECT_EQ(total, (std::vector<double>{wanted, 2 * wanted})) << time;
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuSteps, testing::Values(ExactKinds()[0]),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test
