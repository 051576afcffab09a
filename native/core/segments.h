// The order of every sum over tokens (docs/decisions/0029). Rows are cut into a few segments of
// whole pages, each of them is summed by itself from its first row to its last, and the sums are
// joined in the order of the segments: no budget, no number of threads and no machine that takes
// some of the segments changes a bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace struprune {

inline constexpr size_t kMostSegments = 16;

// Rows in pages, cut as evenly as whole pages go.
class Segments {
 public:
  Segments(size_t rows, size_t page_rows)
      : page_rows_(std::max<size_t>(1, page_rows)),
        pages_(std::max<size_t>(1, (rows + page_rows_ - 1) / page_rows_)) {}

  size_t count() const { return std::min(kMostSegments, pages_); }
  // Each of them is one page, or none.
  bool AreSinglePages() const { return pages_ <= kMostSegments; }
  // That of a row.
  size_t At(size_t row) const { return row / page_rows_ * count() / pages_; }

 private:
  size_t page_rows_, pages_;
};

// Sums of segments, each added to those before it once it is whole: two are there at a time. A
// segment without rows adds nothing. A Sum has a zero and `to += std::move(from)`.
template <typename Sum>
class SegmentSums {
 public:
  using Zero = std::function<Sum()>;
  explicit SegmentSums(Zero zero = [] { return Sum(); }) : zero_(std::move(zero)) {}

  // What a segment's rows are added to. Segments come in order: those before are at their ends.
  Sum& At(size_t segment) {
    if (sums_.empty() || segment != segment_) {
      Join();
      sums_.push_back(zero_());
      segment_ = segment;
    }
    return sums_.back();
  }

  // The sum of all. More rows of the last segment may follow.
  Sum& Total() {
    if (sums_.empty()) return At(0);
    Join();
    return sums_.front();
  }

 private:
  void Join() {
    if (sums_.size() < 2) return;
    sums_.front() += std::move(sums_.back());
    sums_.pop_back();
  }

  Zero zero_;
  std::vector<Sum> sums_;  // of the segments that are whole, and of the one at hand
  size_t segment_ = 0;
};

// Sums that are there at a time, at most.
inline size_t MostSums(const Segments& segments) { return segments.count() > 1 ? 2 : 1; }

// Of a value a token; NaN stands where there is none.
inline double SumOfTokens(std::span<const double> values, size_t page_rows) {
  const Segments segments(values.size(), page_rows);
  SegmentSums<double> sums;
  for (size_t row = 0; row < values.size(); ++row) {
    if (!std::isnan(values[row])) sums.At(segments.At(row)) += values[row];
  }
  return sums.Total();
}

}  // namespace struprune
