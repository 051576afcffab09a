#include "tiles/cholesky.h"

#include <algorithm>

#include "ops/gemm.h"
#include "ops/rows.h"
#include "tiles/multiply.h"
#include "tiles/run_tiles.h"

namespace struprune {
namespace {

// Rows of a tile that one task works on, so that a short column of tiles keeps all threads busy.
constexpr size_t kStrip = 64;

// Rows [row, row + count) of the tiles (i, ·).
struct Strip {
  size_t i, row, count;
};

std::vector<Strip> Strips(const TileAxis& axis, size_t first_tile) {
  std::vector<Strip> strips;
  for (size_t i = first_tile; i < axis.tiles(); ++i) {
    for (size_t row = 0; row < axis.count(i); row += kStrip) {
      strips.push_back({i, row, std::min(kStrip, axis.count(i) - row)});
    }
  }
  return strips;
}

// One column of tiles of X(·, j) = (X(·, j) − Σ_p X(·, p) op(L)(p, j)) op(L)(j, j)⁻¹: forward with
// op(L) = Lᵀ and p < j, backward with op(L) = L and p > j.
class Column {
 public:
  Column(const TileMatrix<double>& lower, TileMatrix<double>& x, size_t j, bool forward)
      : lower_(lower), x_(x), j_(j), forward_(forward) {}

  void Subtract(size_t first_tile) { Run(first_tile, true, false); }
  void Divide(size_t first_tile) { Run(first_tile, false, true); }
  void SubtractAndDivide(size_t first_tile) { Run(first_tile, true, true); }

 private:
  void Run(size_t first_tile, bool subtract, bool divide) {
    const auto strips = Strips(x_.rows(), first_tile);
    RunTiles(
        x_.space(), strips.size(),
        [&](size_t index, Visits& visits) {
          const size_t i = strips[index].i;
          if (strips[index].row > 0) return;  // its tiles are there already
          visits.push_back(x_.At(i, j_));
          for (size_t p = Begin(); subtract && p < End(i); ++p) {
            visits.push_back(x_.At(i, p));
            visits.push_back(forward_ ? lower_.At(j_, p) : lower_.At(p, j_));
          }
          if (divide) visits.push_back(lower_.At(j_, j_));
        },
        [&](size_t index, size_t) {
          const Strip& strip = strips[index];
          const Tile<double> tile = x_.Update(strip.i, j_);
          if (subtract) SubtractFrom(strip, tile);
          if (!divide) return;
          const auto factor = lower_.Read(j_, j_);
          SolveLower(forward_, tile.cols, factor.data, factor.stride, strip.count,
                     tile.row(strip.row), tile.stride);
        });
  }

  size_t Begin() const { return forward_ ? 0 : j_ + 1; }
  size_t End(size_t i) const {
    if (forward_) return j_;
    return x_.shape() == Shape::kLower ? i + 1 : x_.cols().tiles();
  }

  void SubtractFrom(const Strip& strip, const Tile<double>& tile) const {
    for (size_t p = Begin(); p < End(strip.i); ++p) {
      const auto left = std::as_const(x_).Read(strip.i, p);
      const auto right = forward_ ? lower_.Read(j_, p) : lower_.Read(p, j_);
      Gemm(Trans::kNo, forward_ ? Trans::kYes : Trans::kNo, strip.count, tile.cols, left.cols, -1.0,
           left.row(strip.row), left.stride, right.data, right.stride, 1.0, tile.row(strip.row),
           tile.stride);
    }
  }

  const TileMatrix<double>& lower_;
  TileMatrix<double>& x_;
  const size_t j_;
  const bool forward_;
};

// LAPACK leaves what was above the diagonal; products read whole tiles.
bool FactorTile(const Tile<double>& tile) {
  if (!Cholesky(tile.rows, tile.data, tile.stride)) return false;
  for (size_t r = 0; r < tile.rows; ++r) std::fill(tile.row(r) + r + 1, tile.row(r) + tile.cols, 0);
  return true;
}

}  // namespace

bool FactorCholesky(TileMatrix<double>& a) {
  for (size_t j = 0; j < a.cols().tiles(); ++j) {
    Column column(a, a, j, true);
    if (j > 0) column.Subtract(j);
    if (!FactorTile(a.Update(j, j))) return false;
    if (j + 1 < a.cols().tiles()) column.Divide(j + 1);
  }
  a.set_shape(Shape::kLower);
  return true;
}

void SolveForward(const TileMatrix<double>& lower, TileMatrix<double>& x) {
  for (size_t j = 0; j < x.cols().tiles(); ++j) Column(lower, x, j, true).SubtractAndDivide(0);
}

void SolveBackward(const TileMatrix<double>& lower, TileMatrix<double>& x) {
  for (size_t j = x.cols().tiles(); j-- > 0;) {
    Column(lower, x, j, false).SubtractAndDivide(x.shape() == Shape::kLower ? j : 0);
  }
}

TileMatrix<double> InvertLower(const TileMatrix<double>& lower) {
  TileMatrix<double> inverse(lower.space(), lower.rows().size(), lower.cols().size(),
                             Shape::kLower);
  for (size_t i = 0; i < inverse.rows().tiles(); ++i) {
    const Tile<double> tile = inverse.Update(i, i);
    for (size_t r = 0; r < tile.rows; ++r) tile.row(r)[r] = 1;
  }
  SolveBackward(lower, inverse);
  return inverse;
}

TileMatrix<double> InvertFactored(const TileMatrix<double>& lower) {
  const TileMatrix<double> root = InvertLower(lower);
  TileMatrix<double> inverse(lower.space(), lower.rows().size(), lower.cols().size(),
                             Shape::kSymmetric);
  Multiply(1, {root, Trans::kYes}, {root}, 0, inverse);
  return inverse;
}

}  // namespace struprune
