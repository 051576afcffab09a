#include "bench/gemm_rate.h"

#include <algorithm>
#include <chrono>

#include "ops/gemm.h"
#include "ops/gemm_path.h"

namespace struprune::bench {

double MeasureGemm(Context& context, size_t n, size_t k, double seconds, bool sgemm) {
  constexpr size_t kRows = 256;
  const size_t workers = context.pool.size();
  auto a = context.Allocate<float>(workers * kRows * k);
  auto b = context.Allocate<float>(n * k);
  auto c = context.Allocate<float>(workers * kRows * n);
  std::fill_n(a.data(), a.size(), 0.5f);
  std::fill_n(b.data(), b.size(), 0.25f);
  size_t products = 0;
  const auto start = std::chrono::steady_clock::now();
  double elapsed = 0;
  do {
    context.CheckAbort();
    context.pool.ParallelFor(workers * 4, [&](size_t, size_t worker) {
      const ScopedGemmPath path(sgemm ? GemmPath::kCblasF32 : CurrentGemmPath());
      Gemm(Trans::kNo, Trans::kYes, kRows, n, k, 1.0f, a.data() + worker * kRows * k, k, b.data(),
           k, 0.0f, c.data() + worker * kRows * n, n);
    });
    products += workers * 4;
    elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  } while (elapsed < seconds);
  return 2e-9 * static_cast<double>(kRows * n * k * products) / elapsed;
}

}  // namespace struprune::bench
