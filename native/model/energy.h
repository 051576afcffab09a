// How much a matrix holds.
#pragma once

#include "core/context.h"
#include "core/paged_matrix.h"

namespace struprune {

// The sum of all squares.
// Of those of all ranks, where they share them.
double Energy(Context& context, PagedMatrix& matrix);

}  // namespace struprune
