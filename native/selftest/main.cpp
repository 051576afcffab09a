// struprune_selftest: rates, a block of OPT-6.7B's shape under a budget, and memory, then every
// operation of the CUDA library against the CPU, on a machine with a GPU. Needs no Node: this file,
// struprune_cuda.so and the BLAS beside it. Exit codes: 0 all passed, 1 some failed, 3 there is no
// GPU that could be tested, 4 all passed but without cuBLAS or cuSOLVER, with which a run computes.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "backend/driver.h"
#include "gpu_support.h"
#include "selftest/rates.h"

namespace {

constexpr int kFailed = 1, kNoGpu = 3, kNoLibraries = 4;

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

bool Measured(const std::function<void()>& measure) {
  try {
    measure();
    return true;
  } catch (const struprune::Error& error) {
    std::printf("FAILED measure: %s; %s\n", error.what(), error.mend().c_str());
    return false;
  }
}

bool MeasureAll() {
  using namespace struprune::test;
  constexpr uint64_t kMiB = 1 << 20;
  const bool large = TestedGpu().large;
  const BlockShape shape = large ? BlockShape{"a block of OPT-6.7B", 4096, 16384, 32, 1024, 50272}
                                 : BlockShape{"a small block", 48, 192, 4, 32, 3000};
  const bool rates = Measured(PrintRates);
  return Measured([&] { PrintBlock(large ? 1536 * kMiB : 4 * kMiB, shape); }) && rates;
}

bool TestAll() {
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new Failures);  // gtest deletes it
  const int status = RUN_ALL_TESTS();
  const auto& all = *testing::UnitTest::GetInstance();
  std::printf("%d passed, %d failed", all.successful_test_count(), all.failed_test_count());
  if (all.skipped_test_count() > 0) std::printf(", %d skipped", all.skipped_test_count());
  std::printf("\n");
  return status == 0;
}

// Says which of the libraries that a run computes with are not here.
bool HasLibraries() {
  const auto gpu = struprune::test::OpenGpu(true);
  if (!gpu) {
    std::printf(
        "NO CUBLAS: what a run computes with was NOT tested; have libcublas.so.13 (.12 for a "
        "library "
        "that CUDA 12 made) where the loader finds it, or name it in STRUPRUNE_CUBLAS\n");
    return false;
  }
  // What a run on this GPU would use.
  const bool lacks_solver = gpu->Describe().find("no cuSOLVER") != std::string::npos;
  if (lacks_solver) {
    std::printf(
        "NO CUSOLVER: the factors that a run computes were NOT tested; have libcusolver.so.12 "
        "(.11 for a library that CUDA 12 made) where the loader finds it, or name it in "
        "STRUPRUNE_CUSOLVER\n");
  }
  return !lacks_solver;
}

// Rates first: whoever has a GPU for a few minutes wants them more than the tests' last word.
int RunAll(bool rates_alone) {
  const bool measured = MeasureAll();
  const bool passed = rates_alone || TestAll();
  if (!measured) std::printf("a measure failed\n");
  const bool libraries = HasLibraries();
  if (!measured || !passed) return kFailed;
  return libraries ? 0 : kNoLibraries;
}

}  // namespace

// struprune_selftest [--small] [--rates] [GPU INDEX]: --small takes little shapes, for
// compute-sanitizer; --rates measures and tests nothing.
int main(int argc, char** argv) {
  using namespace struprune;
  // A time limit that ends this must not take with it what was printed.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  testing::InitGoogleTest(&argc, argv);
  auto& setup = test::TestedGpu();
  setup.large = true;
  bool rates_alone = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--small") == 0) {
      setup.large = false;
    } else if (std::strcmp(argv[i], "--rates") == 0) {
      rates_alone = true;
    } else {
      setup.index = std::atoi(argv[i]);
    }
  }
  if (setup.large) setup.budget = uint64_t{2} << 30;
  setup.library =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "struprune_cuda.so";

  try {
    const auto library = CudaLibrary::Load(setup.library);
    const DriverReport driver = ProbeDriver(library->api().runtime);
    if (driver.unusable) return NoGpu(driver.unusable->found, driver.unusable->mend);
    if (setup.index < 0 || static_cast<size_t>(setup.index) >= driver.gpus.size()) {
      return NoGpu("there is no GPU " + std::to_string(setup.index), "name another one");
    }
    const GpuReport& gpu = driver.gpus[static_cast<size_t>(setup.index)];
    if (gpu.unusable) return NoGpu(gpu.name + ": " + gpu.unusable->found, gpu.unusable->mend);
    library->Check(setup.index);
    std::printf("code for %s\n", library->api().targets);
    std::printf("%s\n", test::OpenGpu(true) ? test::OpenGpu(true)->Describe().c_str()
                                            : test::OpenGpu(false)->Describe().c_str());
  } catch (const Error& error) {
    return NoGpu(error.what(), error.mend());
  }
  return RunAll(rates_alone);
}
