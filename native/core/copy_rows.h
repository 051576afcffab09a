// Rows of one matrix to another one of the same width.
#pragma once

#include "core/needs.h"
#include "core/paged_matrix.h"

namespace struprune {

// to[to_row + i] <- from[from_row + i] for i < rows, on all threads, with what is kept of earlier
// rows. Throws ERR_INTERNAL where a part of a page has such that the rest of the target's page has
// not.
void CopyRows(Context& context, PagedMatrix& from, size_t from_row, PagedMatrix& to, size_t to_row,
              size_t rows);
Needs CopyRowsNeeds(const TokenPages& tokens, size_t cols);

}  // namespace struprune
