#include "selftest/rates.h"

#include <cstdio>

#include "gpu_support.h"

namespace struprune::test {
namespace {

constexpr int kRepeats = 10;

// Seconds of one call, the best of kRepeats after one that warms up.
template <typename Fn>
double SecondsOf(const CudaDevice& gpu, Fn&& fn) {
  fn();
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    double seconds = 0;
    gpu.Call(&cuda::Api::clock, nullptr);
    fn();
    gpu.Call(&cuda::Api::clock, &seconds);
    best = std::min(best, seconds);
  }
  return best;
}

struct Rates {
  double product = 0, gram = 0;  // TFLOP/s
};

// Products [rows, dim]ᵀ [rows, dim], as a Gram matrix needs them, and the Gram matrix itself, whose
// useful flops are half of that.
Rates Measure(const CudaDevice& gpu, size_t rows, size_t dim, cuda::Precision precision) {
  const auto x = Upload(gpu, RandomValues<float>(rows * dim, 1));
  const CudaArray<float> c(gpu, dim * dim);
  const CudaArray<double> gram(gpu, dim * dim);
  gpu.Call(&cuda::Api::fill_zero, gram.data(), Int(dim * dim * sizeof(double)));
  const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(dim * dim);
  Rates rates;
  rates.product =
      1e-12 * flops / SecondsOf(gpu, [&] {
        gpu.Call(&cuda::Api::gemm_f32, true, false, Int(dim), Int(dim), Int(rows), 1, x.data(),
                 Int(dim), x.data(), Int(dim), 0, c.data(), Int(dim), precision);
      });
  rates.gram = 0.5e-12 * flops / SecondsOf(gpu, [&] {
                 gpu.Call(&cuda::Api::gram_add, Int(rows), Int(dim), x.data(), 0, Int(dim),
                          gram.data(), precision);
               });
  return rates;
}

void PrintMemory(const char* what, const CudaDevice& gpu) {
  const cuda::MemoryReport memory = gpu.memory();
  std::printf("memory, %s: peak %.1f MiB of a budget of %.1f MiB\n", what,
              static_cast<double>(memory.peak) / (1 << 20),
              static_cast<double>(memory.limit) / (1 << 20));
}

}  // namespace

void PrintRates() {
  constexpr size_t kRows = 2048, kDim = 4096;
  const auto own = OpenGpu(false), libraries = OpenGpu(true);
  std::printf("X [%zu, %zu], TFLOP/s; a Gram matrix counts half of the product's flops\n", kRows,
              kDim);
  for (const GpuKind& kind : AllKinds()) {
    const auto& gpu = kind.libraries ? libraries : own;
    if (!gpu) continue;
    const Rates rates = Measure(*gpu, kRows, kDim, kind.precision);
    std::printf("%-17s product %7.2f  Gram %7.2f\n", NameOf(kind).c_str(), rates.product,
                rates.gram);
  }
  PrintMemory("built-in", *own);
  if (libraries) PrintMemory("libraries", *libraries);
}

}  // namespace struprune::test
