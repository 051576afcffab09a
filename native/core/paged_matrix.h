// A tall row-major float matrix [rows, cols] (hidden states, activations) in pages of whole rows of
// a page store.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/page_store.h"
#include "core/segments.h"

namespace struprune {

// Windows that are cut into short sequences: the last one of so many; 0: none is.
struct CutWindows {
  size_t every = 0;
  size_t tokens = 0;  // of such a sequence; a window has whole ones

  // Tokens of the sequences in the window of a row.
  size_t TokensAt(size_t row, size_t window) const {
    return every > 0 && row / window % every == every - 1 ? tokens : window;
  }
};

class PagedMatrix {
 public:
  using Access = PageStore::Access;

  // The canonical page: whole windows of tokens, kPageTokens of them or one longer window.
  static constexpr size_t kPageTokens = 4096;
  static constexpr size_t PageRows(size_t window) {
    return std::max<size_t>(1, kPageTokens / window) * window;
  }

  // `share`: of tokens that ranks share; each has whole segments of them, and the other rows are
  // never touched.
  PagedMatrix(std::shared_ptr<PageStore> store, size_t rows, size_t cols,
              size_t page_rows = kPageTokens, Share share = {});

  size_t rows() const { return rows_; }
  const Share& share() const { return share_; }
  Segments segments() const { return Segments(rows_, page_rows_, share_); }
  // Those that are here.
  RowRange held() const { return segments().held(); }
  size_t cols() const { return cols_; }
  size_t page_rows() const { return page_rows_; }
  const PageStore& store() const { return pages_.store(); }
  // How many rows from `row` on lie in one page with it, at most `most`.
  size_t Run(size_t row, size_t most) const;

  // Rows [row, row + count) of one page, in memory while the view lives.
  class View {
   public:
    View(PagedMatrix& matrix, size_t row, size_t count, Access access);
    float* data() const { return data_; }  // [count, cols]

   private:
    PageStore::Pin pin_;
    float* data_ = nullptr;
  };

  // Earlier rows of some pages, which lie beside in a matrix of the same shape, and go along where
  // rows are copied (core/copy_rows.h). Whoever keeps a page's marks it: kUnmarked is nobody.
  using Mark = uint32_t;
  static constexpr Mark kUnmarked = ~Mark{0};
  // That matrix, made where there is none. What a page has in it is written by the caller.
  PagedMatrix& KeepEarlier(size_t row, Mark mark);
  // Null where none of the page are kept under that mark.
  PagedMatrix* Earlier(size_t row, Mark mark) const;
  Mark MarkOf(size_t row) const;
  // Those of pages that begin in rows [row, row + count); the matrix goes with the last ones.
  void ForgetEarlier(size_t row, size_t count);

  // Of hidden states; it goes along where rows are copied.
  const CutWindows& cut() const { return cut_; }
  void Cut(const CutWindows& cut) { cut_ = cut; }

  // Copies of rows [row, row + count), of any pages.
  void Read(size_t row, size_t count, float* out) const;
  void Write(size_t row, size_t count, const float* in);

 private:
  friend class FlightOrder;
  // A part of a page is not overwritten but updated.
  Access For(size_t row, size_t count, Access access) const;

  const StoredPages pages_;
  const size_t rows_, cols_, page_rows_;
  const Share share_;
  std::unique_ptr<PagedMatrix> earlier_;
  std::vector<Mark> marks_;  // one a page, or none
  CutWindows cut_;
};

// Calls use(first, count, tokens) for the rows [row, row + rows) of whole windows, from the first
// one of them on: so many rows in sequences of so many tokens.
template <typename Use>
void ForSequences(const CutWindows& cut, size_t window, size_t row, size_t rows, Use use) {
  const auto tokens = [&](size_t at) { return cut.TokensAt(row + at, window); };
  for (size_t first = 0, end = 0; first < rows; first = end) {
    for (end = first + window; end < rows && tokens(end) == tokens(first);) end += window;
    use(first, end - first, tokens(first));
  }
}

// A matrix of which each page is used once, in order; null: none.
struct Stream {
  PagedMatrix* matrix;
  PagedMatrix::Access access;
};

// Matrices that are read from front to back, one after the other, `times` times a flight. Null:
// none.
struct Scan {
  std::vector<PagedMatrix*> matrices;
  size_t times;
};

// Tells the page stores that flights over rows [row, rows) of the streams come, all streams page by
// page, with the scans after each. Those are announced of two flights: every flight scans the same,
// so that what goes meanwhile is chosen as if all were known, and they would be visits by the
// million. With scans it is called anew for each flight.
void AnnounceFlights(size_t row, size_t rows, const std::vector<Stream>& streams,
                     std::span<const Scan> scans = {});
// The same of one flight, over the pages with that row.
void AnnounceFlight(size_t row, std::span<const Stream> streams, std::span<const Scan> scans);

// Rows of a matrix in any order; the page of the last one stays in memory.
class RowReader {
 public:
  explicit RowReader(PagedMatrix& matrix) : matrix_(matrix) {}
  const float* Row(size_t row);  // [cols]

 private:
  PagedMatrix& matrix_;
  std::optional<PagedMatrix::View> view_;
  size_t first_ = 0, count_ = 0;
};

}  // namespace struprune
