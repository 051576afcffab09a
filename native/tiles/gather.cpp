#include "tiles/gather.h"

#include <numeric>

namespace struprune {

std::vector<Segment> SegmentsOf(const TileAxis& source, const TileAxis& target, size_t tile,
                                std::span<const int32_t> indices) {
  std::vector<Segment> by_tile(source.tiles());
  const size_t begin = target.begin(tile);
  for (size_t k = 0; k < target.count(tile); ++k) {
    const auto index = static_cast<size_t>(indices[begin + k]);
    Segment& segment = by_tile[source.tile_of(index)];
    segment.source.push_back(static_cast<uint32_t>(index - source.begin(source.tile_of(index))));
    segment.target.push_back(static_cast<uint32_t>(k));
  }
  std::vector<Segment> segments;
  for (size_t t = 0; t < by_tile.size(); ++t) {
    if (by_tile[t].source.empty()) continue;
    by_tile[t].tile = t;
    segments.push_back(std::move(by_tile[t]));
  }
  return segments;
}

std::vector<int32_t> AllOf(const TileAxis& axis) {
  std::vector<int32_t> all(axis.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace struprune
