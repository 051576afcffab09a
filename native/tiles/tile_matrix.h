// A matrix of which only the tiles in use need be in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/needs.h"
#include "core/page_store.h"
#include "tiles/tile_axis.h"

namespace struprune {

// Where tiles live and how large they are.
struct TileSpace {
  std::shared_ptr<Context> context;
  std::shared_ptr<PageStore> store;
  size_t side = kTileSide;
};
// One of its own, with everything in memory.
TileSpace InMemory(std::shared_ptr<Context> context);

// Which tiles there are, and what stands for the others.
enum class Shape : uint8_t {
  kFull,
  kSymmetric,  // tiles on and below the diagonal, those on it whole; the others mirror them
  kLower       // the same tiles; above the diagonal all is zero
};

// Tiles of a matrix that are its own.
size_t TileCount(const TileAxis& rows, const TileAxis& cols, Shape shape);
// Bytes of all tiles of a matrix; those of the last row and column have the size of the others.
template <typename T = double>
size_t TileBytes(size_t rows, size_t cols, Shape shape = Shape::kFull, size_t side = kTileSide) {
  const TileAxis down(rows, side), across(cols, side);
  return TileCount(down, across, shape) * down.side() * across.side() * sizeof(T);
}
// The same of doubles on and below the diagonal.
inline size_t HalfBytes(size_t size) { return TileBytes(size, size, Shape::kSymmetric); }

// Tiles that a worker has in use at a time, at most: an element-wise step over four matrices.
inline constexpr size_t kTilesOfWorker = 4;
// Of `bytes` of tiles, of which those at hand alone need be in memory where they are `paged`.
Needs TileNeeds(const Context& context, size_t bytes, bool paged);

// A tile in memory while this lives.
template <typename T>
struct Tile {
  PageStore::Pin pin;
  T* data = nullptr;  // [rows, cols]
  size_t rows = 0, cols = 0;
  size_t stride = 0;  // between rows, in elements

  T* row(size_t r) const { return data + r * stride; }
};

// Row-major [rows, cols] of doubles or floats, zero until written. Movable; tiles of one matrix
// may be used by many threads, and who writes a tile that another uses is theirs to order.
template <typename T>
class TileMatrix {
 public:
  TileMatrix() = default;
  TileMatrix(const TileSpace& space, size_t rows, size_t cols, Shape shape = Shape::kFull);

  const TileSpace& space() const { return space_; }
  Context& context() const { return *space_.context; }
  const TileAxis& rows() const { return rows_; }
  const TileAxis& cols() const { return cols_; }
  Shape shape() const { return shape_; }
  // Only the meaning of the tiles that are not there changes.
  void set_shape(Shape shape) { shape_ = shape; }
  bool empty() const { return pages_ == nullptr; }

  // Whether tile (i, j) is one of its own.
  bool Has(size_t i, size_t j) const { return shape_ == Shape::kFull || j <= i; }
  Tile<const T> Read(size_t i, size_t j) const;
  Tile<T> Write(size_t i, size_t j);  // what was there is not wanted
  Tile<T> Update(size_t i, size_t j);
  PageStore::Visit At(size_t i, size_t j) const;

 private:
  size_t PageOf(size_t i, size_t j) const;
  template <typename Element>
  Tile<Element> Acquire(size_t i, size_t j, PageStore::Access access) const;

  TileSpace space_;
  TileAxis rows_, cols_;
  Shape shape_ = Shape::kFull;
  std::unique_ptr<StoredPages> pages_;
};

extern template class TileMatrix<double>;
extern template class TileMatrix<float>;

}  // namespace struprune
