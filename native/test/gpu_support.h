// The GPU of the tests: the real one in struprune_selftest, the host emulation in struprune_tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/cuda_library.h"
#include "core/budget.h"
#include "core/paged_matrix.h"
#include "tiles/tile_matrix.h"

namespace struprune::test {

// Where the library lies; set before the tests run.
struct TestedGpuOptions {
  std::string library;
  // Of cuBLAS and cuSOLVER; empty = the usual names.
  std::string cublas, cusolver;
  int index = 0;
  uint64_t budget = uint64_t{256} << 20;
  bool large = false;  // shapes that an emulation would be too slow for
};
TestedGpuOptions& TestedGpu();

// Whether products come from cuBLAS or are the library's own, and how operands are rounded: the
// axes of every test.
struct GpuKind {
  bool libraries;
  cuda::Precision precision;
};
std::string NameOf(const GpuKind& kind);
std::vector<GpuKind> ExactKinds();
std::vector<GpuKind> AllKinds();

// The device with or without libraries, opened once; null where cuBLAS is asked for and not there.
std::shared_ptr<CudaDevice> OpenGpu(bool libraries);

// Largest |error| / Σ|x||y| of one product: cuda/abi.h, with the sums' own rounding.
double BoundOf(const GpuKind& kind, double terms);

template <typename T>
std::vector<T> RandomValues(size_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(uniform(engine));
  return values;
}

template <typename T>
CudaArray<T> Upload(const CudaDevice& gpu, const std::vector<T>& values) {
  return CudaArray<T>(gpu, std::span<const T>(values));
}
template <typename T>
CudaArray<T> Upload(const CudaDevice& gpu, const Buffer<T>& values) {
  return CudaArray<T>(gpu, values.span());
}

template <typename T>
std::vector<T> Download(const CudaArray<T>& array) {
  std::vector<T> values(array.size());
  array.Read(values.data());
  return values;
}

template <typename T>
void ExpectClose(const std::vector<T>& got, const std::vector<T>& wanted, double relative,
                 const std::string& what = "") {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  double largest = 0;
  for (const T value : wanted) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_LE(std::fabs(static_cast<double>(got[i]) - static_cast<double>(wanted[i])),
              relative * largest)
        << what << " at " << i << ": " << got[i] << " instead of " << wanted[i];
  }
}

std::vector<float> AllOf(const PagedMatrix& matrix);
std::vector<double> AllOf(const TileMatrix<double>& matrix);

template <typename T>
std::vector<T> Copied(const T* from, size_t count) {
  return {from, from + count};
}

// Of sums over many tokens, relative to the largest entry.
double Tolerance(const GpuKind& kind);

// A suite whose parameter is a GpuKind.
class GpuTest : public testing::TestWithParam<GpuKind> {
 protected:
  void SetUp() override {
    gpu_ = OpenGpu(GetParam().libraries);
    if (!gpu_) GTEST_SKIP() << "cuBLAS is not here";
  }
  const CudaDevice& gpu() const { return *gpu_; }
  // Another one of that precision, with its own budget.
  std::shared_ptr<CudaDevice> Open(uint64_t budget) const;
  // With every piece of device memory on its own and fresh each time, in the emulation full of
  // NaNs: what a piece held before does not pass for a result.
  std::shared_ptr<CudaDevice> OpenChecked(uint64_t budget) const;
  // With that much beside cuBLAS' work space: a sixteenth of the budget, 16 KiB at least.
  std::shared_ptr<CudaDevice> OpenWithRoom(uint64_t bytes) const;
  std::shared_ptr<CudaDevice> gpu_;
};

}  // namespace struprune::test
