#include "ops/statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/simd.h"
#include "ops/gemm.h"

namespace struprune {
namespace {

constexpr size_t kTile = 256;
size_t Tiles(size_t n) { return (n + kTile - 1) / kTile; }

struct TilePair {
  size_t row, col;
  bool cross;
};

// squares += Σ x², sums += Σ x over a page; columns [begin, end).
STRUPRUNE_CLONES
void AddMoments(size_t rows, const float* x, size_t dim, size_t begin, size_t end, double* squares,
                double* sums) {
  for (size_t i = 0; i < rows; ++i) {
    const float* row = x + i * dim;
    for (size_t j = begin; j < end; ++j) {
      const double value = row[j];
      sums[j] += value;
      squares[j] += value * value;
    }
  }
}

}  // namespace

Statistics::Statistics(std::shared_ptr<Context> context, size_t dim, bool with_gram,
                       size_t residual_dim)
    : context_(std::move(context)), dim_(dim), residual_dim_(residual_dim) {
  const auto zeros = [&](size_t count) {
    auto buffer = context_->Allocate<double>(count);
    std::fill_n(buffer.data(), count, 0.0);
    return buffer;
  };
  if (with_gram) gram_ = zeros(dim * dim);
  squares_ = zeros(dim);
  sums_ = zeros(dim);
  cross_ = zeros(residual_dim * dim);
  residual_sums_ = zeros(residual_dim);
  tiles_ = context_->Allocate<float>(context_->pool.size() * kTile * kTile);
}

void Statistics::Add(size_t rows, const float* x, const float* residual) {
  for (size_t row = 0; row < rows; row += kTokenPage) {
    context_->CheckAbort();
    AddPage(std::min(kTokenPage, rows - row), x + row * dim_,
            residual_dim_ ? residual + row * residual_dim_ : nullptr);
  }
}

void Statistics::AddPage(size_t rows, const float* x, const float* residual) {
  std::vector<TilePair> pairs;
  const size_t n = Tiles(dim_);
  if (has_gram()) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j <= i; ++j) pairs.push_back({i, j, false});
    }
  }
  for (size_t i = 0; i < Tiles(residual_dim_); ++i) {
    for (size_t j = 0; j < n; ++j) pairs.push_back({i, j, true});
  }
  // The moments of one column tile each, after the product tiles.
  context_->pool.ParallelFor(pairs.size() + n, [&](size_t task, size_t worker) {
    if (task >= pairs.size()) {
      const size_t begin = (task - pairs.size()) * kTile;
      AddMoments(rows, x, dim_, begin, std::min(begin + kTile, dim_), squares_.data(),
                 sums_.data());
      return;
    }
    const auto [row_tile, col_tile, cross] = pairs[task];
    const float* left = cross ? residual : x;
    const size_t left_dim = cross ? residual_dim_ : dim_;
    const size_t row = row_tile * kTile, col = col_tile * kTile;
    const size_t height = std::min(kTile, left_dim - row), width = std::min(kTile, dim_ - col);
    float* tile = tiles_.data() + worker * kTile * kTile;
    Gemm(Trans::kYes, Trans::kNo, height, width, rows, 1.0f, left + row, left_dim, x + col, dim_,
         0.0f, tile, kTile);
    double* to = (cross ? cross_ : gram_).data();
    for (size_t i = 0; i < height; ++i) {
      double* line = to + (row + i) * dim_ + col;
      for (size_t j = 0; j < width; ++j) line[j] += tile[i * kTile + j];
    }
    if (!cross && row_tile != col_tile) {
      for (size_t j = 0; j < width; ++j) {
        double* line = to + (col + j) * dim_ + row;
        for (size_t i = 0; i < height; ++i) line[i] += tile[i * kTile + j];
      }
    }
  });
  for (size_t i = 0; i < rows * residual_dim_; ++i) {
    residual_energy_ += static_cast<double>(residual[i]) * residual[i];
  }
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < residual_dim_; ++j) residual_sums_[j] += residual[i * residual_dim_ + j];
  }
  tokens_ += rows;
}

void Statistics::AddGramRows(size_t first, size_t count, const double* rows) {
  for (size_t i = first; i < first + count; ++i) {
    const double* row = rows + (i - first) * dim_;
    for (size_t j = 0; j < i; ++j) {
      gram_[i * dim_ + j] += row[j];
      gram_[j * dim_ + i] += row[j];
    }
    gram_[i * dim_ + i] += row[i];
  }
}

void Statistics::AddSums(size_t tokens, const double* squares, const double* sums,
                         const double* cross, const double* residual_sums, double residual_energy) {
  const auto add = [](Buffer<double>& to, const double* from) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  add(squares_, squares);
  add(sums_, sums);
  add(cross_, cross);
  add(residual_sums_, residual_sums);
  residual_energy_ += residual_energy;
  tokens_ += tokens;
}

}  // namespace struprune
