#include "tiles/tile_matrix.h"

#include <utility>

namespace struprune {

TileSpace InMemory(std::shared_ptr<Context> context) {
  auto store = std::make_shared<PageStore>(context, 0, "");
  return {std::move(context), std::move(store)};
}

size_t TileCount(const TileAxis& rows, const TileAxis& cols, Shape shape) {
  const size_t n = rows.tiles();
  return shape == Shape::kFull ? n * cols.tiles() : n * (n + 1) / 2;
}

Needs TileNeeds(const Context& context, size_t bytes, bool paged) {
  const size_t workers = context.pool.size();
  return Pages(bytes, kTilesOfWorker * workers * TileBytes(kTileSide, kTileSide), paged);
}

template <typename T>
TileMatrix<T>::TileMatrix(const TileSpace& space, size_t rows, size_t cols, Shape shape)
    : space_(space), rows_(rows, space.side), cols_(cols, space.side), shape_(shape) {
  pages_ = std::make_unique<StoredPages>(space.store, TileCount(rows_, cols_, shape),
                                         rows_.side() * cols_.side() * sizeof(T));
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
