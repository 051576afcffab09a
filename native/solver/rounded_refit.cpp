#include "solver/rounded_refit.h"

#include <algorithm>
#include <cmath>

#include "ops/codec.h"
#include "ops/gemm.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

constexpr size_t kBlock = 32;
// Rows that a task holds at a time, for which it reads the whole factor once.
constexpr size_t kRows = 128;
// Tries at the scales of a block.
constexpr int kPasses = 4;

// Numbers of the buffers of a task.
struct RoundingCounts {
  explicit RoundingCounts(size_t columns)
      : values(kRows * columns), below(columns * kBlock), pull(kRows * kBlock) {}
  size_t values, below, pull;
};

class RowRounding {
 public:
  RowRounding(const TileMatrix<double>& factor, Dtype dtype)
      : factor_(factor),
        dtype_(dtype),
        columns_(factor.cols().size()),
        values_(factor.context().Allocate<float>(RoundingCounts(columns_).values)),
        delta_(factor.context().Allocate<double>(RoundingCounts(columns_).values)),
        below_(factor.context().Allocate<double>(RoundingCounts(columns_).below)),
        pull_(factor.context().Allocate<double>(RoundingCounts(columns_).pull)) {}

  float* values() { return values_.data(); }

  // Of rows in `values`.
  void Round(size_t rows) {
    for (size_t end = columns_; end > 0; end -= kBlock) {
      factor_.context().CheckAbort();
      const size_t begin = end - kBlock, rest = columns_ - begin;
      ReadBlock(factor_, begin, rest, begin, kBlock, below_.data());
      if (rest == kBlock) {
        std::fill_n(pull_.data(), rows * kBlock, 0.0);
      } else {
        Gemm(Trans::kNo, Trans::kNo, rows, kBlock, rest - kBlock, 1.0, delta_.data() + end,
             columns_, below_.data() + kBlock * kBlock, kBlock, 0.0, pull_.data(), kBlock);
      }
      for (size_t row = 0; row < rows; ++row) {
        RoundBlock(values_.data() + row * columns_ + begin, pull_.data() + row * kBlock,
                   delta_.data() + row * columns_ + begin);
      }
    }
  }

 private:
  // L of the block's own columns.
  double Corner(size_t i, size_t j) const { return below_[i * kBlock + j]; }

  // A rounded block.
  struct Choice {
    float values[kBlock];
    double delta[kBlock];
    double error = INFINITY;  // what it adds, of the columns behind it too
  };

  void RoundBlock(float* values, const double* pull, double* delta) const {
    float wanted[kBlock];
    for (size_t j = 0; j < kBlock; ++j) {
      wanted[j] = static_cast<float>(values[j] - pull[j] / Corner(j, j));
    }
    Choice best;
    std::copy_n(values, kBlock, best.values);
    std::fill_n(best.delta, kBlock, 0.0);
    // First by steps for what the columns behind ask for, then by those for what it came to.
    for (int pass = 0; pass < kPasses; ++pass) {
      const auto steps = StepsOf(dtype_, wanted);
      if (!steps) break;
      const Choice choice = Choose(*steps, values, pull, wanted);
      if (choice.error < best.error) best = choice;
    }
    std::copy_n(best.values, kBlock, values);
    std::copy_n(best.delta, kBlock, delta);
  }

  // `wanted` becomes what each column was rounded from.
  Choice Choose(const BlockSteps& steps, const float* values, const double* pull,
                float* wanted) const {
    Choice choice;
    int chosen[kBlock];
    const auto choose = [&](size_t j, int step) {
      chosen[j] = step;
      choice.values[j] = steps.value(step);
      choice.delta[j] = static_cast<double>(choice.values[j]) - values[j];
    };
    const auto behind = [&](size_t j) {
      double sum = pull[j];
      for (size_t i = j + 1; i < kBlock; ++i) sum += choice.delta[i] * Corner(i, j);
      return sum;
    };
    for (size_t j = kBlock; j-- > 0;) {
      wanted[j] = static_cast<float>(values[j] - behind(j) / Corner(j, j));
      choose(j, steps.Nearest(wanted[j]));
    }
    // A block without its outermost step would be read with other scales than it was written with.
    const auto force = [&](size_t j, int step) {
      if (steps.scale != 0 && !steps.of_four && chosen[j] != step) choose(j, step);
    };
    force(static_cast<size_t>(std::min_element(chosen, chosen + kBlock) - chosen), 0);
    if (steps.whole) {
      force(static_cast<size_t>(std::max_element(chosen, chosen + kBlock) - chosen), steps.most);
    }
    choice.error = 0;
    for (size_t j = 0; j < kBlock; ++j) {
      const double added = behind(j) + choice.delta[j] * Corner(j, j);
      choice.error += added * added;
    }
    return choice;
  }

  const TileMatrix<double>& factor_;
  const Dtype dtype_;
  const size_t columns_;
  Buffer<float> values_;  // [rows, columns] W, then Q
  Buffer<double> delta_;  // [rows, columns] Q − W of the columns that are done
  Buffer<double> below_;  // [columns from a block on, block] L
  Buffer<double> pull_;   // [rows, block] Δ L of the columns behind it
};

}  // namespace

Needs RoundingNeeds(const Context& context, size_t out, size_t kept) {
  const RoundingCounts n(kept);
  const size_t tasks = std::min(context.pool.size(), TileAxis(out, kTileSide).tiles());
  return HeldFloats(tasks * n.values) + HeldDoubles(tasks * (n.values + n.below + n.pull));
}

void RoundWithFeedback(const TileMatrix<double>& factor, Dtype dtype, TileMatrix<float>& weight) {
  // A task a row of tiles, which nobody else writes.
  const TileAxis& rows = weight.rows();
  weight.context().pool.ParallelFor(rows.tiles(), [&](size_t tile, size_t) {
    RowRounding rounding(factor, dtype);
    for (size_t done = 0; done < rows.count(tile); done += kRows) {
      const size_t row = rows.begin(tile) + done, count = std::min(kRows, rows.count(tile) - done);
      ReadRows(weight, row, count, rounding.values());
      rounding.Round(count);
      WriteRows(weight, row, count, rounding.values());
    }
  });
}

}  // namespace struprune
