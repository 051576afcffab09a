// Matrices for tests, all of whose pages are in memory.
#pragma once

#include <memory>

#include "core/paged_matrix.h"

namespace struprune::test {

inline PagedMatrix MemoryMatrix(const std::shared_ptr<Context>& context, size_t rows, size_t cols,
                                size_t page_rows = PagedMatrix::kPageTokens) {
  return {std::make_shared<PageStore>(context, 0, ""), rows, cols, page_rows};
}

}  // namespace struprune::test
