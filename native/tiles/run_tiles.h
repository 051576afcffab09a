// One step over tiles: the store is told what is coming, the pool does it.
#pragma once

#include <utility>
#include <vector>

#include "tiles/tile_matrix.h"

namespace struprune {

using Visits = std::vector<PageStore::Visit>;

// Visits that are announced at a time, about: a step of a large site has millions.
inline constexpr size_t kHorizon = size_t{1} << 16;

// Runs task(index, worker) for index < count over the pool, after announcing what
// visit(index, visits) appends: the tiles that the task will acquire, in order.
template <typename Visit, typename Task>
void RunTiles(const TileSpace& space, size_t count, Visit visit, Task task) {
  Visits visits;
  for (size_t from = 0, to = 0; from < count; from = to) {
    visits.clear();
    while (to < count && visits.size() < kHorizon) visit(to++, visits);
    space.store->Announce(visits);
    space.context->pool.ParallelFor(to - from, [&](size_t index, size_t worker) {
      space.context->CheckAbort();
      task(from + index, worker);
    });
  }
}

// Tiles (i, j) that a matrix has, row by row.
template <typename T>
std::vector<std::pair<size_t, size_t>> TilesOf(const TileMatrix<T>& matrix) {
  std::vector<std::pair<size_t, size_t>> places;
  for (size_t i = 0; i < matrix.rows().tiles(); ++i) {
    for (size_t j = 0; j < matrix.cols().tiles() && matrix.Has(i, j); ++j)
      places.emplace_back(i, j);
  }
  return places;
}

// Runs task(i, j) for every tile of `first`; all matrices are visited at the same place.
template <typename Task, typename T, typename... Others>
void EachTile(Task task, const TileMatrix<T>& first, const Others&... others) {
  const auto places = TilesOf(first);
  RunTiles(
      first.space(), places.size(),
      [&](size_t index, Visits& visits) {
        const auto [i, j] = places[index];
        visits.push_back(first.At(i, j));
        (visits.push_back(others.At(i, j)), ...);
      },
      [&](size_t index, size_t) { task(places[index].first, places[index].second); });
}

}  // namespace struprune
