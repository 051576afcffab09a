// struprune_selftest: every operation of the CUDA library against the CPU, then rates and memory,
// on a machine with a GPU. Needs no Node: this file, struprune_cuda.so and the BLAS beside it. Exit
// codes: 0 all passed, 1 some failed, 3 there is no GPU that could be tested.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "device/driver.h"
#include "gpu_support.h"
#include "selftest/rates.h"

namespace {

constexpr int kNoGpu = 3;

int NoGpu(const std::string& found, const std::string& mend) {
  std::printf("no test was run: %s; %s\n", found.c_str(), mend.c_str());
  return kNoGpu;
}

// Prints what went wrong, and nothing of what went right.
class Failures : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed()) std::printf("%s\n", result.summary());
  }
  void OnTestEnd(const testing::TestInfo& info) override {
    if (info.result()->Failed()) std::printf("FAILED %s.%s\n", info.test_suite_name(), info.name());
  }
};

int RunAll() {
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new Failures);  // gtest deletes it
  const int status = RUN_ALL_TESTS();
  const auto& all = *testing::UnitTest::GetInstance();
  if (status == 0) struprune::test::PrintRates();
  std::printf("%d passed, %d failed", all.successful_test_count(), all.failed_test_count());
  if (all.skipped_test_count() > 0) std::printf(", %d skipped", all.skipped_test_count());
  std::printf("\n");
  return status;
}

}  // namespace

// struprune_selftest [GPU INDEX]
int main(int argc, char** argv) {
  using namespace struprune;
  testing::InitGoogleTest(&argc, argv);
  auto& setup = test::TestedGpu();
  setup.index = argc > 1 ? std::atoi(argv[1]) : 0;
  setup.large = true;
  setup.budget = uint64_t{2} << 30;
  setup.library =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "struprune_cuda.so";

  const DriverReport driver = ProbeDriver();
  if (driver.unusable) return NoGpu(driver.unusable->found, driver.unusable->mend);
  if (setup.index < 0 || static_cast<size_t>(setup.index) >= driver.gpus.size()) {
    return NoGpu("there is no GPU " + std::to_string(setup.index), "name another one");
  }
  const GpuReport& gpu = driver.gpus[static_cast<size_t>(setup.index)];
  if (gpu.unusable) return NoGpu(gpu.name + ": " + gpu.unusable->found, gpu.unusable->mend);
  try {
    const auto library = CudaLibrary::Load(setup.library);
    library->Check(setup.index);
    std::printf("code for %s\n", library->api().targets);
    std::printf("%s\n", test::OpenGpu(true) ? test::OpenGpu(true)->Describe().c_str()
                                            : test::OpenGpu(false)->Describe().c_str());
  } catch (const Error& error) {
    return NoGpu(error.what(), error.mend());
  }
  return RunAll();
}
