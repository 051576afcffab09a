// Sums, masks, gathers and the steps of ADMM on the GPU against plain loops of doubles.
#include "gpu_support.h"

namespace struprune::test {
namespace {

class GpuSteps : public GpuTest {
 protected:
  // Odd shapes: groups of 3 columns, more cells than one grid of threads.
  const size_t rows_ = TestedGpu().large ? 4099 : 67, groups_ = TestedGpu().large ? 1365 : 43,
               group_ = 3;
  const size_t cols_ = groups_ * group_, cells_ = rows_ * cols_;
  std::vector<uint8_t> Mask() const {
    std::vector<uint8_t> keep(groups_);
    for (size_t g = 0; g < groups_; ++g) keep[g] = g % 5 != 2;
    return keep;
  }
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

TEST_P(GpuSteps, StepsOfAdmm) {
  const auto w = RandomValues<double>(cells_, 3), right = RandomValues<double>(cells_, 4);
  auto u = RandomValues<double>(cells_, 5), z = RandomValues<double>(cells_, 6);
  const auto keep = Mask();
  const auto wg = Upload(gpu(), w), rg = Upload(gpu(), right), ug = Upload(gpu(), u),
             zg = Upload(gpu(), z);
  const auto kg = Upload(gpu(), keep);
  const CudaArray<double> to(gpu(), cells_), energies(gpu(), groups_), moved(gpu(), 1),
      sums(gpu(), 4);
  gpu().Call(&cuda::Api::admm_right, Int(cells_), 0.7, rg.data(), zg.data(), ug.data(), to.data());
  gpu().Call(&cuda::Api::group_energies, Int(rows_), Int(groups_), Int(group_), wg.data(),
             ug.data(), energies.data());
  gpu().Call(&cuda::Api::admm_project, Int(rows_), Int(groups_), Int(group_), kg.data(), wg.data(),
             ug.data(), zg.data(), moved.data());
  gpu().Call(&cuda::Api::admm_dual, Int(cells_), wg.data(), zg.data(), ug.data(), sums.data());

  std::vector<double> step(cells_), energy(groups_), gap(1), norms(4);
  for (size_t i = 0; i < cells_; ++i) {
    const size_t g = i % cols_ / group_;
    step[i] = right[i] + 0.7 * (z[i] - u[i]);
    energy[g] += (w[i] + u[i]) * (w[i] + u[i]);
    const double after = keep[g] ? w[i] + u[i] : 0;
    gap[0] += (after - z[i]) * (after - z[i]);
    z[i] = after;
    u[i] += w[i] - z[i];
    norms[0] += (w[i] - z[i]) * (w[i] - z[i]);
    norms[1] += w[i] * w[i];
    norms[2] += z[i] * z[i];
    norms[3] += u[i] * u[i];
  }
  ExpectClose(Download(to), step, 1e-15, "right side");
  ExpectClose(Download(energies), energy, 1e-12, "energies");
  ExpectClose(Download(zg), z, 1e-15, "z");
  ExpectClose(Download(ug), u, 1e-15, "u");
  ExpectClose(Download(moved), gap, 1e-12, "moved");
  ExpectClose(Download(sums), norms, 1e-12, "norms");
}

TEST_P(GpuSteps, EnergiesWithoutADual) {
  const auto w = RandomValues<double>(cells_, 7);
  const auto wg = Upload(gpu(), w);
  const CudaArray<double> energies(gpu(), groups_);
  gpu().Call(&cuda::Api::group_energies, Int(rows_), Int(groups_), Int(group_), wg.data(), nullptr,
             energies.data());
  std::vector<double> wanted(groups_);
  for (size_t i = 0; i < cells_; ++i) wanted[i % cols_ / group_] += w[i] * w[i];
  ExpectClose(Download(energies), wanted, 1e-12);
}

TEST_P(GpuSteps, MasksGathersAndScatters) {
  const auto x = RandomValues<float>(cells_, 8);
  const auto keep = Mask();
  std::vector<int32_t> columns, rows;
  for (size_t j = 0; j < cols_; ++j) {
    if (keep[j / group_]) columns.push_back(static_cast<int32_t>(j));
  }
  for (size_t i = rows_; i-- > 0;) {
    if (i % 3 != 0) rows.push_back(static_cast<int32_t>(i));
  }
  const size_t count = columns.size(), stride = count + 4;
  const auto xg = Upload(gpu(), x), masked = Upload(gpu(), x);
  const auto kg = Upload(gpu(), keep);
  const auto cg = Upload(gpu(), columns), ig = Upload(gpu(), rows);
  const auto gathered = Upload(gpu(), std::vector<float>(rows_ * stride, 9));
  const auto spread = Upload(gpu(), std::vector<float>(cells_, 8));
  const CudaArray<float> some(gpu(), rows.size() * cols_);
  gpu().Call(&cuda::Api::mask_columns, Int(rows_), Int(groups_), Int(group_), kg.data(),
             masked.data());
  gpu().Call(&cuda::Api::gather_columns, Int(rows_), Int(count), cg.data(), xg.data(), Int(cols_),
             gathered.data(), Int(stride));
  gpu().Call(&cuda::Api::scatter_columns, Int(rows_), Int(count), cg.data(), gathered.data(),
             Int(stride), spread.data(), Int(cols_));
  gpu().Call(&cuda::Api::gather_rows, Int(rows.size()), Int(cols_), ig.data(), xg.data(),
             some.data());
  const auto zeroed = Download(masked), narrow = Download(gathered), back = Download(spread),
             chosen = Download(some);
  for (size_t i = 0; i < cells_; ++i) {
    const bool kept = keep[i % cols_ / group_];
    ASSERT_EQ(zeroed[i], kept ? x[i] : 0);
    ASSERT_EQ(back[i], kept ? x[i] : 8);
  }
  for (size_t i = 0; i < rows_; ++i) {
    for (size_t j = 0; j < stride; ++j) {
      ASSERT_EQ(narrow[i * stride + j],
                j < count ? x[i * cols_ + static_cast<size_t>(columns[j])] : 9);
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < cols_; ++j) {
      ASSERT_EQ(chosen[i * cols_ + j], x[static_cast<size_t>(rows[i]) * cols_ + j]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuSteps, testing::Values(ExactKinds()[0]),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace struprune::test
