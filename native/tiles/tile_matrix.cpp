#include "tiles/tile_matrix.h"

#include <utility>

namespace struprune {

TileSpace InMemory(std::shared_ptr<Context> context) {
  auto store = std::make_shared<PageStore>(context, 0, "");
  return {std::move(context), std::move(store)};
}

template <typename T>
TileMatrix<T>::TileMatrix(const TileSpace& space, size_t rows, size_t cols, Shape shape)
    : space_(space), rows_(rows, space.side), cols_(cols, space.side), shape_(shape) {
  const size_t n = rows_.tiles();
  const size_t count = shape == Shape::kFull ? n * cols_.tiles() : n * (n + 1) / 2;
  pages_ =
      std::make_unique<StoredPages>(space.store, count, rows_.side() * cols_.side() * sizeof(T));
}

template <typename T>
size_t TileMatrix<T>::PageOf(size_t i, size_t j) const {
  return shape_ == Shape::kFull ? i * cols_.tiles() + j : i * (i + 1) / 2 + j;
}

template <typename T>
template <typename Element>
Tile<Element> TileMatrix<T>::Acquire(size_t i, size_t j, PageStore::Access access) const {
  Tile<Element> tile;
  tile.pin = pages_->Acquire(PageOf(i, j), access);
  tile.data = tile.pin.template as<T>().data();
  tile.rows = rows_.count(i);
  tile.cols = cols_.count(j);
  tile.stride = cols_.side();
  return tile;
}

template <typename T>
Tile<const T> TileMatrix<T>::Read(size_t i, size_t j) const {
  return Acquire<const T>(i, j, PageStore::Access::kRead);
}
template <typename T>
Tile<T> TileMatrix<T>::Write(size_t i, size_t j) {
  return Acquire<T>(i, j, PageStore::Access::kWrite);
}
template <typename T>
Tile<T> TileMatrix<T>::Update(size_t i, size_t j) {
  return Acquire<T>(i, j, PageStore::Access::kUpdate);
}

template <typename T>
PageStore::Visit TileMatrix<T>::At(size_t i, size_t j) const {
  return {pages_->id(), static_cast<uint32_t>(PageOf(i, j))};
}

template class TileMatrix<double>;
template class TileMatrix<float>;

}  // namespace struprune
