// Rows of one matrix to another one of the same width.
#pragma once

#include "core/needs.h"
#include "core/paged_matrix.h"

namespace struprune {

// to[to_row + i] <- from[from_row + i] for i < rows, on all threads.
void CopyRows(Context& context, PagedMatrix& from, size_t from_row, PagedMatrix& to, size_t to_row,
              size_t rows);
Needs CopyRowsNeeds(const TokenPages& tokens, size_t cols);

}  // namespace struprune
