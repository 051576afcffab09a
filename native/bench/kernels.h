// Timings of single operations at a block's own shapes, beside what the machine could do: the two
// roofs of the roofline.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "model/block.h"

namespace struprune::bench {

struct Roofs {
  double f32 = 0, f64 = 0;  // GFLOP/s of large products on all threads
  double bandwidth = 0;     // GB/s, read and written, of a copy that no cache holds
};

// Takes about 3 * seconds.
Roofs MeasureRoofs(Context& context, double seconds);

struct Timing {
  std::string op, shape, dtype;
  double flops = 0;    // useful ones of one call
  double bytes = 0;    // every operand read once, every result written once
  double seconds = 0;  // fastest of the repeats
  size_t repeats = 0;
};

struct KernelRun {
  size_t tokens = 0;  // whole windows
  size_t window = 0;
  double seconds = 0;  // of each operation; at least three calls
};

// Numbers of both signs around 0, the same in every run.
class Noise {
 public:
  float Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<float>(state_ >> 8) / static_cast<float>(1u << 23) - 1.0f;
  }

 private:
  uint32_t state_ = 1;
};

// Of flops and bytes, which are counted in doubles.
inline double D(size_t value) { return static_cast<double>(value); }
std::string ShapeText(size_t rows, size_t cols);

// Throws ERR_ARGUMENT.
void RequireWholeWindows(const KernelRun& run);

// The first sublayer of either kind. Throws ERR_UNSUPPORTED where a block has none.
struct Sublayers {
  size_t attention, ffn;
};
Sublayers SublayersOf(const BlockSpec& spec);

// Times the operations of the forward pass and of the solvers, one after the other. The factored
// matrices are [ffn, ffn], those of the FFN's site.
std::vector<Timing> TimeKernels(const Block& block, const KernelRun& run);

}  // namespace struprune::bench
