#include "tiles/cholesky.h"

#include <algorithm>

#include "ops/cholesky.h"
#include "ops/gemm.h"
#include "ops/rows.h"
#include "tiles/doubles_on_device.h"
#include "tiles/multiply.h"
#include "tiles/run_tiles.h"

namespace struprune {
namespace {

// Rows of a tile that one task works on, so that a short column of tiles keeps all threads busy.
constexpr size_t kStripRows = 64;

// Columns of tiles that go together. Part of the order of the sums, so no budget may change it.
constexpr size_t kGroup = 4;

struct Range {
  size_t begin = 0, end = 0;
};

std::vector<Range> Groups(size_t tiles) {
  std::vector<Range> groups;
  for (size_t begin = 0; begin < tiles; begin += kGroup) {
    groups.push_back({begin, std::min(begin + kGroup, tiles)});
  }
  return groups;
}

// Rows [row, row + count) of the tile (i, j).
struct Strip {
  size_t i, j, row, count;
};

// Columns of tiles of X(·, j) = (X(·, j) − Σ_p X(·, p) op(L)(p, j)) op(L)(j, j)⁻¹: forward with
// op(L) = Lᵀ and p < j, backward with op(L) = L and p > j. Columns go in groups: what the columns
// outside of a group take off is taken off all of its columns in one pass over X, and then one
// column after another what those inside do. So a row of X is read once a group.
class Columns {
 public:
  Columns(const TileMatrix<double>& lower, TileMatrix<double>& x, bool forward)
      : lower_(lower), x_(x), forward_(forward) {}

  // X(i, j) −= Σ_p X(i, p) op(L)(p, j), for the columns j of `group` and the tiles i from
  // `first_tile` on that X has there, over the p that are done before the group.
  void SubtractOutside(Range group, size_t first_tile) {
    const Range inner = Outside(group);
    if (inner.begin < inner.end) Run(group, first_tile, inner, false);
  }
  // Column j: what the columns of its group that are done take off, and the division.
  void Subtract(Range group, size_t j, size_t first_tile) {
    const Range inner = Inside(group, j);
    if (inner.begin < inner.end) Run({j, j + 1}, first_tile, inner, false);
  }
  void Divide(size_t j, size_t first_tile) { Run({j, j + 1}, first_tile, {}, true); }
  void SubtractAndDivide(Range group, size_t j, size_t first_tile) {
    Run({j, j + 1}, first_tile, Inside(group, j), true);
  }

 private:
  void Run(Range columns, size_t first_tile, Range inner, bool divide) {
    const auto strips = Strips(columns, first_tile);
    RunTiles(
        x_.space(), strips.size(),
        [&](size_t index, Visits& visits) {
          const auto [i, j, row, count] = strips[index];
          if (row > 0) return;  // its tiles are there already
          visits.push_back(x_.At(i, j));
          for (size_t p = inner.begin; p < End(inner, i); ++p) {
            visits.push_back(x_.At(i, p));
            visits.push_back(forward_ ? lower_.At(j, p) : lower_.At(p, j));
          }
          if (divide) visits.push_back(lower_.At(j, j));
        },
        [&](size_t index, size_t) {
          const Strip& strip = strips[index];
          const Tile<double> tile = x_.Update(strip.i, strip.j);
          SubtractFrom(strip, inner, tile);
          if (!divide) return;
          const auto factor = lower_.Read(strip.j, strip.j);
          SolveLower(forward_, tile.cols, factor.data, factor.stride, strip.count,
                     tile.row(strip.row), tile.stride);
        });
  }

  // Tile by tile: the strips of one, which read the same tiles, follow each other.
  std::vector<Strip> Strips(Range columns, size_t first_tile) const {
    const TileAxis& rows = x_.rows();
    std::vector<Strip> strips;
    for (size_t i = first_tile; i < rows.tiles(); ++i) {
      for (size_t j = columns.begin; j < columns.end && x_.Has(i, j); ++j) {
        for (size_t row = 0; row < rows.count(i); row += kStripRows) {
          strips.push_back({i, j, row, std::min(kStripRows, rows.count(i) - row)});
        }
      }
    }
    return strips;
  }

  Range Outside(Range group) const {
    return forward_ ? Range{0, group.begin} : Range{group.end, x_.cols().tiles()};
  }
  Range Inside(Range group, size_t j) const {
    return forward_ ? Range{group.begin, j} : Range{j + 1, group.end};
  }
  // Of X's row of tiles i, which may end at the diagonal.
  size_t End(Range inner, size_t i) const {
    return x_.shape() == Shape::kLower ? std::min(inner.end, i + 1) : inner.end;
  }

  void SubtractFrom(const Strip& strip, Range inner, const Tile<double>& tile) const {
    for (size_t p = inner.begin; p < End(inner, strip.i); ++p) {
      const auto left = std::as_const(x_).Read(strip.i, p);
      const auto right = forward_ ? lower_.Read(strip.j, p) : lower_.Read(p, strip.j);
      Gemm(Trans::kNo, forward_ ? Trans::kYes : Trans::kNo, strip.count, tile.cols, left.cols, -1.0,
           left.row(strip.row), left.stride, right.data, right.stride, 1.0, tile.row(strip.row),
           tile.stride);
    }
  }

  const TileMatrix<double>& lower_;
  TileMatrix<double>& x_;
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
  bool positive = false;
  if (FactorOnDevice(a, &positive)) return positive;
  const size_t tiles = a.cols().tiles();
  Columns columns(a, a, true);
  for (const Range group : Groups(tiles)) {
    columns.SubtractOutside(group, group.begin);
    for (size_t j = group.begin; j < group.end; ++j) {
      columns.Subtract(group, j, j);
      if (!FactorTile(a.Update(j, j))) return false;
      if (j + 1 < tiles) columns.Divide(j, j + 1);
    }
  }
  a.set_shape(Shape::kLower);
  return true;
}

void SolveForward(const TileMatrix<double>& lower, TileMatrix<double>& x) {
  if (SolveOnDevice(lower, true, x)) return;
  Columns columns(lower, x, true);
  for (const Range group : Groups(x.cols().tiles())) {
    columns.SubtractOutside(group, 0);
    for (size_t j = group.begin; j < group.end; ++j) columns.SubtractAndDivide(group, j, 0);
  }
}

void SolveBackward(const TileMatrix<double>& lower, TileMatrix<double>& x) {
  if (SolveOnDevice(lower, false, x)) return;
  Columns columns(lower, x, false);
  const bool is_lower = x.shape() == Shape::kLower;
  const auto groups = Groups(x.cols().tiles());
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    columns.SubtractOutside(*group, is_lower ? group->begin : 0);
    for (size_t j = group->end; j-- > group->begin;) {
      columns.SubtractAndDivide(*group, j, is_lower ? j : 0);
    }
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
  TileMatrix<double> inverse(lower.space(), lower.rows().size(), lower.cols().size(),
                             Shape::kSymmetric);
  if (InvertOnDevice(lower, inverse)) return inverse;
  const TileMatrix<double> root = InvertLower(lower);
  Multiply(1, {root, Trans::kYes}, {root}, 0, inverse);
  return inverse;
}

}  // namespace struprune
