// Where a block meets the solver of a site: its output map and its sums go out as a problem.
#pragma once

#include <span>

#include "model/block.h"
#include "solver/columns.h"
#include "solver/site_problem.h"
#include "tiles/statistics.h"

namespace struprune {

// The site's output map with the sums over its inputs; its metric, λ and groups are the caller's.
// Throws ERR_ARGUMENT where the sums have no Gram or another width.
SiteInput SiteInputOf(const Sublayer& layer, Statistics& statistics);

// Of the columns of a site's output map.
WeightColumns MeasureOutput(const Sublayer& layer);

// Adds W means[width] to the output map's bias, made where there was none. Throws ERR_ARGUMENT
// where there are not as many means.
void AddMeanBias(Block& block, size_t sublayer, std::span<const double> means);

}  // namespace struprune
