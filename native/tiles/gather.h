// Rows and columns of a tiled matrix as a matrix of their own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tiles/run_tiles.h"

namespace struprune {

// Indices of one target tile that lie in the same source tile.
struct Segment {
  size_t tile;                  // of the source
  std::vector<uint32_t> source; // within that tile
  std::vector<uint32_t> target; // within the target's tile
};
// What of `indices` target tile `tile` takes, by source tile, ascending.
std::vector<Segment> SegmentsOf(const TileAxis& source, const TileAxis& target, size_t tile,
                                std::span<const int32_t> indices);

// 0, 1, …, size − 1.
std::vector<int32_t> AllOf(const TileAxis& axis);

// to(r, c) = from(rows[r], columns[c]), then finish(tile, i, j) for every tile of `to` while it is
// in memory. `from` must not have Shape::kLower.
template <typename T, typename Finish>
void Gather(const TileMatrix<T>& from, std::span<const int32_t> rows,
            std::span<const int32_t> columns, TileMatrix<double>& to, Finish finish);
template <typename T>
void Gather(const TileMatrix<T>& from, std::span<const int32_t> rows,
            std::span<const int32_t> columns, TileMatrix<double>& to) {
  Gather(from, rows, columns, to, [](const Tile<double>&, size_t, size_t) {});
}

// --- below: how

template <typename T>
void CopySegments(const TileMatrix<T>& from, const Segment& rows, const Segment& columns,
                  const Tile<double>& to) {
  const bool mirrored = !from.Has(rows.tile, columns.tile);
  const auto tile = mirrored ? from.Read(columns.tile, rows.tile) : from.Read(rows.tile, columns.tile);
  const size_t row_step = mirrored ? 1 : tile.stride, column_step = mirrored ? tile.stride : 1;
  for (size_t r = 0; r < rows.source.size(); ++r) {
    const T* source = tile.data + rows.source[r] * row_step;
    double* target = to.row(rows.target[r]);
    for (size_t c = 0; c < columns.source.size(); ++c) {
      target[columns.target[c]] = source[columns.source[c] * column_step];
    }
  }
}

template <typename T, typename Finish>
void Gather(const TileMatrix<T>& from, std::span<const int32_t> rows,
            std::span<const int32_t> columns, TileMatrix<double>& to, Finish finish) {
  std::vector<std::vector<Segment>> row_segments, column_segments;
  for (size_t i = 0; i < to.rows().tiles(); ++i) {
    row_segments.push_back(SegmentsOf(from.rows(), to.rows(), i, rows));
  }
  for (size_t j = 0; j < to.cols().tiles(); ++j) {
    column_segments.push_back(SegmentsOf(from.cols(), to.cols(), j, columns));
  }
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
        const Tile<double> tile = to.Write(i, j);
        for (const Segment& row : row_segments[i]) {
          for (const Segment& column : column_segments[j]) CopySegments(from, row, column, tile);
        }
        finish(tile, i, j);
      });
}

}  // namespace struprune
