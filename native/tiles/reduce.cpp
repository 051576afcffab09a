#include "tiles/reduce.h"

#include <cmath>
#include <numeric>

#include "ops/rows.h"
#include "tiles/run_tiles.h"

namespace struprune {

double Dot(const TileMatrix<double>& a, const TileMatrix<double>& b) {
  const size_t columns = a.cols().tiles();
  std::vector<double> sums(a.rows().tiles() * columns);
  EachTile(
      [&](size_t i, size_t j) {
        const auto x = a.Read(i, j), y = b.Read(i, j);
        double sum = 0;
        for (size_t r = 0; r < x.rows; ++r) sum += Dot(x.cols, x.row(r), y.row(r));
        sums[i * columns + j] = sum;
      },
      a, b);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

std::vector<double> ColumnDots(const TileMatrix<double>& a, const TileMatrix<double>& b) {
  const TileAxis rows = a.rows(), columns = a.cols();
  std::vector<double> sums(columns.size(), 0.0);
  RunTiles(
      a.space(), columns.tiles(),
      [&](size_t j, Visits& visits) {
        for (size_t i = 0; i < rows.tiles(); ++i) {
          const bool own = a.Has(i, j);
          visits.push_back(own ? a.At(i, j) : a.At(j, i));
          visits.push_back(own ? b.At(i, j) : b.At(j, i));
        }
      },
      [&](size_t j, size_t) {
        double* to = sums.data() + columns.begin(j);
        for (size_t i = 0; i < rows.tiles(); ++i) {
          if (!a.Has(i, j)) {  // the tile above the diagonal, of which this one is the mirror
            const auto x = a.Read(j, i), y = b.Read(j, i);
            for (size_t c = 0; c < x.rows; ++c) to[c] += Dot(x.cols, x.row(c), y.row(c));
            continue;
          }
          const auto x = a.Read(i, j), y = b.Read(i, j);
          for (size_t r = 0; r < x.rows; ++r) {
            const double *left = x.row(r), *right = y.row(r);
            for (size_t c = 0; c < x.cols; ++c) to[c] += left[c] * right[c];
          }
        }
      });
  return sums;
}

template <typename T>
std::vector<double> TimesVector(const TileMatrix<T>& a, const std::vector<double>& v) {
  const TileAxis rows = a.rows(), columns = a.cols();
  std::vector<double> product(rows.size(), 0.0);
  RunTiles(
      a.space(), rows.tiles(),
      [&](size_t i, Visits& visits) {
        for (size_t j = 0; j < columns.tiles(); ++j) {
          visits.push_back(a.Has(i, j) ? a.At(i, j) : a.At(j, i));
        }
      },
      [&](size_t i, size_t) {
        double* to = product.data() + rows.begin(i);
        for (size_t j = 0; j < columns.tiles(); ++j) {
          const double* from = v.data() + columns.begin(j);
          const bool own = a.Has(i, j);
          const auto tile = own ? a.Read(i, j) : a.Read(j, i);
          for (size_t r = 0; r < rows.count(i); ++r) {
            for (size_t c = 0; c < columns.count(j); ++c) {
              to[r] += from[c] * (own ? tile.row(r)[c] : tile.row(c)[r]);
            }
          }
        }
      });
  return product;
}

template std::vector<double> TimesVector(const TileMatrix<double>&, const std::vector<double>&);
template std::vector<double> TimesVector(const TileMatrix<float>&, const std::vector<double>&);

std::vector<double> Diagonal(const TileMatrix<double>& a) {
  std::vector<double> diagonal;
  diagonal.reserve(a.rows().size());
  for (size_t i = 0; i < a.rows().tiles(); ++i) {
    const auto tile = a.Read(i, i);
    for (size_t r = 0; r < tile.rows; ++r) diagonal.push_back(tile.row(r)[r]);
  }
  return diagonal;
}

template <typename T>
void CheckFinite(const TileMatrix<T>& a, const char* what) {
  EachTile(
      [&](size_t i, size_t j) {
        const auto tile = a.Read(i, j);
        for (size_t r = 0; r < tile.rows; ++r) {
          for (size_t c = 0; c < tile.cols; ++c) {
            if (std::isfinite(tile.row(r)[c])) continue;
            throw Error("ERR_NAN", std::string(what) + " holds a value that is not finite",
                        "check the checkpoint and the calibration text");
          }
        }
      },
      a);
}

template void CheckFinite(const TileMatrix<double>&, const char*);
template void CheckFinite(const TileMatrix<float>&, const char*);

}  // namespace struprune
