#include <algorithm>
#include <cstring>

#include "bench/kernels.h"
#include "bench/stopwatch.h"
#include "ops/gemm.h"

namespace struprune::bench {
namespace {

// Products [kRows, kWidth] x [kWidth, kWidth]: beyond this size rates hardly grow, and a lap is
// short enough to fall between the time slices of others on a shared machine.
constexpr size_t kRows = 128, kWidth = 1024;
// Of each of the two arrays: larger than the last cache of the processors at hand. A lap copies the
// next part of it.
constexpr size_t kCopyBytes = 256u << 20;
constexpr size_t kCopyLap = 32u << 20;
constexpr size_t kCopyPiece = 1u << 20;

template <typename T>
double GemmRate(Context& context, double seconds) {
  const size_t workers = context.pool.size();
  auto a = context.Allocate<T>(workers * kRows * kWidth);
  auto b = context.Allocate<T>(kWidth * kWidth);
  auto c = context.Allocate<T>(workers * kRows * kWidth);
  std::fill_n(a.data(), a.size(), T{0.5});
  std::fill_n(b.data(), b.size(), T{0.25});
  const Lap lap = Repeat(
      seconds, [] {},
      [&] {
        context.CheckAbort();
        context.pool.ParallelFor(workers, [&](size_t, size_t worker) {
          const size_t at = worker * kRows * kWidth;
          Gemm(Trans::kNo, Trans::kYes, kRows, kWidth, kWidth, T{1}, a.data() + at, kWidth,
               b.data(), kWidth, T{0}, c.data() + at, kWidth);
        });
      });
  return 2e-9 * static_cast<double>(workers * kRows * kWidth * kWidth) / lap.seconds;
}

double CopyRate(Context& context, double seconds) {
  auto from = context.Allocate<std::byte>(kCopyBytes), to = context.Allocate<std::byte>(kCopyBytes);
  std::memset(from.data(), 1, kCopyBytes);
  std::memset(to.data(), 0, kCopyBytes);
  size_t lap_at = 0;
  const Lap lap = Repeat(
      seconds, [&] { lap_at = (lap_at + kCopyLap) % kCopyBytes; },
      [&] {
        context.CheckAbort();
        context.pool.ParallelFor(kCopyLap / kCopyPiece, [&](size_t piece, size_t) {
          const size_t at = lap_at + piece * kCopyPiece;
          std::memcpy(to.data() + at, from.data() + at, kCopyPiece);
        });
      });
  return 2e-9 * static_cast<double>(kCopyLap) / lap.seconds;
}

}  // namespace

Roofs MeasureRoofs(Context& context, double seconds) {
  return {GemmRate<float>(context, seconds), GemmRate<double>(context, seconds),
          CopyRate(context, seconds)};
}

}  // namespace struprune::bench
