#include "core/copy_rows.h"

#include "core/row_chunks.h"

namespace struprune {

void CopyRows(Context& context, PagedMatrix& from, size_t from_row, PagedMatrix& to, size_t to_row,
              size_t rows) {
  using Access = PagedMatrix::Access;
  if (rows == from.rows() && rows == to.rows()) {
    AnnounceFlights(0, rows, {{&from, Access::kRead}, {&to, Access::kWrite}});
  }
  for (size_t row = 0; row < rows;) {
    context.CheckAbort();
    const size_t count =
        std::min(from.Run(from_row + row, rows - row), to.Run(to_row + row, rows - row));
    const PagedMatrix::View source(from, from_row + row, count, Access::kRead);
    const PagedMatrix::View target(to, to_row + row, count, Access::kWrite);
    ForChunks(context, count, [&](size_t first, size_t some, size_t) {
      std::copy_n(source.data() + first * from.cols(), some * from.cols(),
                  target.data() + first * from.cols());
    });
    row += count;
  }
}

Needs CopyRowsNeeds(const TokenPages& tokens, size_t cols) { return tokens.View(2 * cols); }

}  // namespace struprune
