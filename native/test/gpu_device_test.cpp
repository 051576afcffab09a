// Opening a GPU, its budget, and the arithmetic of its arena.
#include <cstdlib>
#include <map>

#include "cuda/arena.h"
#include "expect_error.h"
#include "gpu_support.h"

namespace struprune::test {
namespace {

using cuda::FreeList;

TEST(GpuArena, PiecesNeverOverlapAndComeBackWhole) {
  FreeList list(1 << 20);
  std::mt19937 engine(1);
  std::map<size_t, size_t> taken;
  size_t used = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (engine() % 2 == 0 || taken.empty()) {
      const size_t bytes = engine() % 50'000;
      const auto offset = list.Take(bytes);
      if (!offset) {
        EXPECT_LT(list.largest_gap(), FreeList::Rounded(bytes));
        continue;
      }
      EXPECT_EQ(*offset % FreeList::kAlignment, 0u);
      const auto after = taken.lower_bound(*offset);
      if (after != taken.end()) {
        EXPECT_LE(*offset + bytes, after->first);
      }
      if (after != taken.begin()) {
        EXPECT_LE(std::prev(after)->first + std::prev(after)->second, *offset);
      }
      taken[*offset] = bytes;
      used += std::max(FreeList::Rounded(bytes), FreeList::kAlignment);
    } else {
      const auto one = std::next(taken.begin(), engine() % taken.size());
      used -= std::max(FreeList::Rounded(one->second), FreeList::kAlignment);
      EXPECT_TRUE(list.Give(one->first));
      taken.erase(one);
    }
    ASSERT_EQ(list.used(), used);
    ASSERT_LE(list.peak(), list.limit());
  }
  for (const auto& [offset, bytes] : taken) list.Give(offset);
  EXPECT_EQ(list.largest_gap(), list.limit());
  EXPECT_FALSE(list.Give(0));
  EXPECT_FALSE(list.Take(size_t{1} << 60));
}

TEST(GpuDevice, SaysWhatItIs) {
  const auto library = CudaLibrary::Load(TestedGpu().library);
  const cuda::DeviceInfo info = library->Check(TestedGpu().index);
  EXPECT_GE(info.major, 8);
  EXPECT_GT(info.free_bytes, 0u);
  EXPECT_LE(info.free_bytes, info.total_bytes);
  EXPECT_NE(OpenGpu(false)->Describe().find(info.name), std::string::npos);
  EXPECT_NE(OpenGpu(false)->Describe().find("built-in products"), std::string::npos);
  EXPECT_FALSE(OpenGpu(false)->has_blas());
}

TEST(GpuDevice, ABudgetIsHard) {
  const auto device = OpenGpu(false);
  const cuda::MemoryReport before = device->memory();
  EXPECT_EQ(before.limit, TestedGpu().budget);
  {
    const CudaArray<char> half(*device, (before.limit - before.used) / 2);
    ExpectError([&] { CudaArray<char>(*device, before.limit - before.used); }, "ERR_BUDGET",
                "of the budget of");
  }
  EXPECT_EQ(device->memory().used, before.used);
}

TEST(GpuDevice, WhatIsNotThereIsSaid) {
  ExpectError([] { CudaLibrary::Load("/nowhere/struprune_cuda.so"); }, "ERR_DEVICE", "not built");
  const auto library = CudaLibrary::Load(TestedGpu().library);
  ExpectError([&] { library->Check(99); }, "ERR_DEVICE", "no GPU cuda:99");
  CudaOptions options;
  options.index = TestedGpu().index;
  options.budget = uint64_t{1} << 50;
  // With every piece on its own nothing is taken yet, and a sanitizer would report the attempt.
  if (!std::getenv("STRUPRUNE_CUDA_CHECK")) {
    ExpectError([&] { CudaDevice(library, options); }, "ERR_BUDGET", "gave no more memory");
  }
  options.budget = 1 << 20;
  options.cublas = "/nowhere/libcublas.so";
  ExpectError([&] { CudaDevice(library, options); }, "ERR_DEVICE", "does not load");
}

#ifdef STRUPRUNE_EMULATED_LIBRARY
// Of all that the budget leaves to the libraries only a failure tells.
TEST(GpuDevice, ABudgetThatLeavesCublasNoMemoryIsToBeLowered) {
  const auto library = CudaLibrary::Load(TestedGpu().library);
  CudaOptions options;
  options.budget = 1 << 20;
  options.cublas = TestedGpu().cublas;
  for (const auto& [status, code] :
       {std::pair("1", "ERR_BUDGET"), {"3", "ERR_BUDGET"}, {"13", "ERR_DEVICE"}}) {
    setenv("STRUPRUNE_EMULATED_CUBLAS_STATUS", status, 1);
    ExpectError([&] { CudaDevice(library, options); }, code, "cublasCreate failed with status");
  }
  unsetenv("STRUPRUNE_EMULATED_CUBLAS_STATUS");
}

// A library from before the GPU makes a handle and no products.
TEST(GpuDevice, ANamedCublasWithoutProductsIsRefused) {
  const auto library = CudaLibrary::Load(TestedGpu().library);
  CudaOptions options;
  options.budget = 1 << 20;
  options.cublas = TestedGpu().cublas;
  setenv("STRUPRUNE_EMULATED_GEMM_STATUS", "8", 1);
  ExpectError([&] { CudaDevice(library, options); }, "ERR_DEVICE",
              "cublasGemmEx failed with status 8");
  unsetenv("STRUPRUNE_EMULATED_GEMM_STATUS");
}
#endif

}  // namespace
}  // namespace struprune::test
