#include "core/copy_rows.h"

#include "core/error.h"
#include "core/row_chunks.h"

namespace struprune {
namespace {

using Access = PagedMatrix::Access;

// Of `count` rows that lie in one page of each.
void CopyPart(Context& context, PagedMatrix& from, size_t from_row, PagedMatrix& to, size_t to_row,
              size_t count) {
  const PagedMatrix::View source(from, from_row, count, Access::kRead);
  const PagedMatrix::View target(to, to_row, count, Access::kWrite);
  ForChunks(context, count, [&](size_t first, size_t some, size_t) {
    std::copy_n(source.data() + first * from.cols(), some * from.cols(),
                target.data() + first * from.cols());
  });
}

void CopyEarlier(Context& context, const PagedMatrix& from, size_t from_row, PagedMatrix& to,
                 size_t to_row, size_t count) {
  const PagedMatrix::Mark mark = from.MarkOf(from_row);
  const bool begins = to_row % to.page_rows() == 0;
  if (to.MarkOf(to_row) != mark && !(begins && count == to.Run(to_row, to.page_rows()))) {
    throw Error("ERR_INTERNAL", "earlier rows of a part of a page");
  }
  if (mark == PagedMatrix::kUnmarked) return to.ForgetEarlier(to_row, count);
  CopyPart(context, *from.Earlier(from_row, mark), from_row, to.KeepEarlier(to_row, mark), to_row,
           count);
}

}  // namespace

void CopyRows(Context& context, PagedMatrix& from, size_t from_row, PagedMatrix& to, size_t to_row,
              size_t rows) {
  if (from_row == to_row && rows == from.held().size() && rows == to.held().size()) {
    AnnounceFlights(from_row, from_row + rows, {{&from, Access::kRead}, {&to, Access::kWrite}});
  }
  for (size_t row = 0; row < rows;) {
    context.CheckAbort();
    const size_t count =
        std::min(from.Run(from_row + row, rows - row), to.Run(to_row + row, rows - row));
    CopyPart(context, from, from_row + row, to, to_row + row, count);
    CopyEarlier(context, from, from_row + row, to, to_row + row, count);
    row += count;
  }
}

Needs CopyRowsNeeds(const TokenPages& tokens, size_t cols) { return tokens.View(2 * cols); }

}  // namespace struprune
