#include "tiles/gather.h"

#include <numeric>

namespace struprune {

std::vector<int32_t> AllOf(const TileAxis& axis) {
  std::vector<int32_t> all(axis.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::vector<int32_t> PlacesOf(std::span<const int32_t> indices, size_t size) {
  std::vector<int32_t> places(size, -1);
  for (size_t k = 0; k < indices.size(); ++k) places[indices[k]] = static_cast<int32_t>(k);
  return places;
}

std::vector<std::vector<Segment>> SegmentsOf(const TileAxis& source, const TileAxis& target,
                                             std::span<const int32_t> indices) {
  std::vector<std::vector<Segment>> all;
  for (size_t tile = 0; tile < target.tiles(); ++tile) {
    std::vector<Segment> by_source(source.tiles());
    for (size_t k = 0; k < target.count(tile); ++k) {
      if (indices[target.begin(tile) + k] < 0) continue;
      const auto index = static_cast<size_t>(indices[target.begin(tile) + k]);
      Segment& segment = by_source[source.tile_of(index)];
      segment.tile = source.tile_of(index);
      segment.source.push_back(static_cast<uint32_t>(index - source.begin(segment.tile)));
      segment.target.push_back(static_cast<uint32_t>(k));
    }
    std::erase_if(by_source, [](const Segment& segment) { return segment.source.empty(); });
    all.push_back(std::move(by_source));
  }
  return all;
}

}  // namespace struprune
