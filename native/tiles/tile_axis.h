// One side of a tiled matrix: where its tiles begin and how long they are.
#pragma once

#include <algorithm>
#include <cstddef>

namespace struprune {

// Elements of a canonical tile's side. Results depend on it in their last bits, so no budget and no
// machine may change it; tests take smaller ones.
inline constexpr size_t kTileSide = 256;

// Cuts [0, size) into as few tiles as do with at most `longest` elements each, then as evenly as
// goes in steps of a vector of doubles; the last one may be shorter.
class TileAxis {
 public:
  TileAxis() = default;
  TileAxis(size_t size, size_t longest) : size_(size) {
    if (size == 0) return;
    const size_t step = std::min<size_t>(8, longest);
    const size_t even = DivideUp(size, DivideUp(size, longest));
    side_ = std::min({size, longest, DivideUp(even, step) * step});
    tiles_ = DivideUp(size, side_);
  }

  size_t size() const { return size_; }
  size_t tiles() const { return tiles_; }
  size_t side() const { return side_; }  // of every tile but a shorter last one
  size_t begin(size_t tile) const { return tile * side_; }
  size_t count(size_t tile) const { return std::min(side_, size_ - tile * side_); }
  size_t tile_of(size_t index) const { return index / side_; }
  bool operator==(const TileAxis&) const = default;

 private:
  static constexpr size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }
  size_t size_ = 0, side_ = 1, tiles_ = 0;
};

}  // namespace struprune
