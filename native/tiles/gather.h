// Rows and columns of a tiled matrix, put elsewhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tiles/run_tiles.h"

namespace struprune {

// 0, 1, …, size − 1.
std::vector<int32_t> AllOf(const TileAxis& axis);
// [size] where in `indices` each number stands; −1 for those that do not.
std::vector<int32_t> PlacesOf(std::span<const int32_t> indices, size_t size);

// to(r, c) = from(rows[r], columns[c]), then finish(tile, i, j) for every tile of `to` while it is
// in memory. `from` must not have Shape::kLower.
template <typename T, typename To, typename Finish>
void Gather(const TileMatrix<T>& from, std::span<const int32_t> rows,
            std::span<const int32_t> columns, TileMatrix<To>& to, Finish finish);
template <typename T, typename To>
void Gather(const TileMatrix<T>& from, std::span<const int32_t> rows,
            std::span<const int32_t> columns, TileMatrix<To>& to) {
  Gather(from, rows, columns, to, [](const Tile<To>&, size_t, size_t) {});
}

// The same where both indices are >= 0; elsewhere `to` keeps what it had.
template <typename T, typename To>
void Overlay(const TileMatrix<T>& from, std::span<const int32_t> rows,
             std::span<const int32_t> columns, TileMatrix<To>& to);

// Indices of one target tile that lie in the same source tile.
struct Segment {
  size_t tile;                   // of the source
  std::vector<uint32_t> source;  // within that tile
  std::vector<uint32_t> target;  // within the target's tile
};
// By target tile; in each by source tile, ascending. Negative indices are left out.
std::vector<std::vector<Segment>> SegmentsOf(const TileAxis& source, const TileAxis& target,
                                             std::span<const int32_t> indices);

template <typename T, typename To>
void CopySegments(const TileMatrix<T>& from, const Segment& rows, const Segment& columns,
                  const Tile<To>& to) {
  const bool own = from.Has(rows.tile, columns.tile);
  const auto tile = own ? from.Read(rows.tile, columns.tile) : from.Read(columns.tile, rows.tile);
  const size_t row_step = own ? tile.stride : 1, column_step = own ? 1 : tile.stride;
  for (size_t r = 0; r < rows.source.size(); ++r) {
    const T* source = tile.data + rows.source[r] * row_step;
    To* target = to.row(rows.target[r]);
    for (size_t c = 0; c < columns.source.size(); ++c) {
      target[columns.target[c]] = static_cast<To>(source[columns.source[c] * column_step]);
    }
  }
}

template <typename T, typename To, typename Work>
void CopyTiles(const TileMatrix<T>& from, std::span<const int32_t> rows,
               std::span<const int32_t> columns, TileMatrix<To>& to, Work work) {
  const auto row_segments = SegmentsOf(from.rows(), to.rows(), rows);
  const auto column_segments = SegmentsOf(from.cols(), to.cols(), columns);
  const auto places = TilesOf(to);
  RunTiles(
      to.space(), places.size(),
      [&](size_t index, Visits& visits) {
        const auto [i, j] = places[index];
        visits.push_back(to.At(i, j));
        for (const Segment& row : row_segments[i]) {
          for (const Segment& column : column_segments[j]) {
            visits.push_back(from.Has(row.tile, column.tile) ? from.At(row.tile, column.tile)
                                                             : from.At(column.tile, row.tile));
          }
        }
      },
      [&](size_t index, size_t) {
        const auto [i, j] = places[index];
        work(i, j, [&, i = i, j = j](const Tile<To>& tile) {
          for (const Segment& row : row_segments[i]) {
            for (const Segment& column : column_segments[j]) CopySegments(from, row, column, tile);
          }
        });
      });
}

template <typename T, typename To, typename Finish>
void Gather(const TileMatrix<T>& from, std::span<const int32_t> rows,
            std::span<const int32_t> columns, TileMatrix<To>& to, Finish finish) {
  CopyTiles(from, rows, columns, to, [&](size_t i, size_t j, auto copy) {
    const Tile<To> tile = to.Write(i, j);
    copy(tile);
    finish(tile, i, j);
  });
}

template <typename T, typename To>
void Overlay(const TileMatrix<T>& from, std::span<const int32_t> rows,
             std::span<const int32_t> columns, TileMatrix<To>& to) {
  CopyTiles(from, rows, columns, to, [&](size_t i, size_t j, auto copy) { copy(to.Update(i, j)); });
}

}  // namespace struprune
