#include "tiles/multiply.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.h"
#include "tiles/doubles_on_device.h"
#include "tiles/run_tiles.h"

namespace struprune {
namespace {

// Of the memory that pages can fill, the rows of a band take one part in so many.
constexpr size_t kBandParts = 2;

// Where the tile (i, j) of op(matrix) is kept, and how it must be read.
struct Place {
  size_t i, j;
  Trans trans;
  double times = 1;
};

std::optional<Place> Find(const Factor& factor, size_t i, size_t j) {
  const bool transposed = factor.trans == Trans::kYes;
  if (factor.folded) {
    if (i < j) return std::nullopt;
    return Place{i, j, Trans::kNo, i > j ? 2.0 : 1.0};
  }
  const Place place = transposed ? Place{j, i, Trans::kYes} : Place{i, j, Trans::kNo};
  if (factor.matrix.Has(place.i, place.j)) return place;
  if (factor.matrix.shape() == Shape::kLower) return std::nullopt;
  return Place{place.j, place.i, transposed ? Trans::kNo : Trans::kYes};
}

struct Term {
  Place a, b;
  size_t depth;  // elements summed over
};

// The products that make up tile (i, j).
std::vector<Term> TermsOf(const Factor& a, const Factor& b, size_t i, size_t j) {
  const TileAxis& inner = a.trans == Trans::kYes ? a.matrix.rows() : a.matrix.cols();
  std::vector<Term> terms;
  for (size_t k = 0; k < inner.tiles(); ++k) {
    const auto left = Find(a, i, k), right = Find(b, k, j);
    if (left && right) terms.push_back({*left, *right, inner.count(k)});
  }
  return terms;
}

void Scale(double beta, const Tile<double>& tile) {
  for (size_t r = 0; r < tile.rows; ++r) {
    for (size_t c = 0; c < tile.cols; ++c) tile.row(r)[c] = beta == 0 ? 0 : beta * tile.row(r)[c];
  }
}

// The tiles of c in bands of rows, and in a band column by column: what b has in a column is read
// once a band. As many rows as leave most of the memory to the tiles on their way; no sum depends
// on the order.
std::vector<std::pair<size_t, size_t>> InBands(const Factor& a, const TileMatrix<double>& c) {
  const TileAxis& inner = a.trans == Trans::kYes ? a.matrix.rows() : a.matrix.cols();
  const size_t row_bytes = inner.tiles() * inner.side() * c.rows().side() * sizeof(double);
  const size_t fit = c.space().store->Capacity() / (kBandParts * std::max<size_t>(row_bytes, 1));
  const size_t band = std::clamp<size_t>(fit, 1, std::max<size_t>(c.rows().tiles(), 1));
  auto places = TilesOf(c);
  std::ranges::stable_sort(
      places, {}, [&](const auto& place) { return std::pair(place.first / band, place.second); });
  return places;
}

}  // namespace

void Multiply(double alpha, Factor a, Factor b, double beta, TileMatrix<double>& c) {
  for (const Factor& factor : {a, b}) {
    if (!factor.folded) continue;
    if (factor.matrix.shape() == Shape::kSymmetric && factor.trans == Trans::kNo) continue;
    throw Error("ERR_INTERNAL", "only a symmetric matrix can be folded", "multiply by it whole");
  }
  if (MultiplyOnDevice(alpha, a, b, beta, c)) return;
  const auto places = InBands(a, c);
  RunTiles(
      c.space(), places.size(),
      [&](size_t index, Visits& visits) {
        const auto [i, j] = places[index];
        visits.push_back(c.At(i, j));
        for (const Term& term : TermsOf(a, b, i, j)) {
          visits.push_back(a.matrix.At(term.a.i, term.a.j));
          visits.push_back(b.matrix.At(term.b.i, term.b.j));
        }
      },
      [&](size_t index, size_t) {
        const auto [i, j] = places[index];
        const Tile<double> to = beta == 0 ? c.Write(i, j) : c.Update(i, j);
        const auto terms = TermsOf(a, b, i, j);
        if (terms.empty()) Scale(beta, to);
        double before = beta;
        for (const Term& term : terms) {
          const auto left = a.matrix.Read(term.a.i, term.a.j);
          const auto right = b.matrix.Read(term.b.i, term.b.j);
          Gemm(term.a.trans, term.b.trans, to.rows, to.cols, term.depth,
               alpha * term.a.times * term.b.times, left.data, left.stride, right.data,
               right.stride, before, to.data, to.stride);
          before = 1;
        }
      });
}

}  // namespace struprune
