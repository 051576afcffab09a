// Which keys causality and a sliding window leave to a query, and how they are cut.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/attention_shape.h"

namespace struprune {

// Keys that all kernels take at a time, and floats between two rows of their scores: rows a power
// of two apart would share a few sets of the first cache.
inline constexpr size_t kKeyTile = 256, kScoreStride = kKeyTile + 16;

// Keys [begin, end).
struct Visible {
  size_t begin, end;
};

inline Visible VisibleTo(const AttentionShape& shape, size_t query) {
  const size_t begin = shape.sliding && query + 1 > shape.sliding ? query + 1 - shape.sliding : 0;
  return {begin, query + 1};
}

// The part of a query's visible keys inside the tile [tile, tile + keys), relative to the tile.
inline Visible WithinTile(const Visible& seen, size_t tile, size_t keys) {
  const size_t begin = std::clamp(seen.begin, tile, tile + keys) - tile;
  const size_t end = std::clamp(seen.end, tile, tile + keys) - tile;
  return {begin, std::max(begin, end)};
}

}  // namespace struprune
