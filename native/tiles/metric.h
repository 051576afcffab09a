// A Fisher metric G = Gram ÷ tokens [dim, dim], kept as float rows of a paged matrix.
#pragma once

#include <memory>

#include "core/paged_matrix.h"
#include "tiles/statistics.h"

namespace struprune {

// Writes G as rows [row, row + dim). Throws ERR_ARGUMENT where there is no Gram or it does not fit.
void StoreMetric(Statistics& statistics, PagedMatrix& to, size_t row);

// Reads it back.
std::shared_ptr<const TileMatrix<double>> LoadMetric(const TileSpace& space,
                                                     const PagedMatrix& from, size_t row);

}  // namespace struprune
