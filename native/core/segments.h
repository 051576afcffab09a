// The order of every sum over tokens (docs/decisions/0029). Rows are cut into a few segments of
// whole pages, each of them is summed by itself from its first row to its last, and the sums are
// joined in the order of the segments: no budget, no number of threads and no machine that takes
// some of the segments changes a bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace struprune {

class Team;

inline constexpr size_t kMostSegments = 16;

// A rank's place among those that share tokens (docs/decisions/0060): one alone has all of them.
struct Share {
  size_t rank = 0, ranks = 1;
  std::shared_ptr<Team> team;  // null where one is alone, or nothing but a plan is made
};

// Rows [begin, end).
struct RowRange {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
  bool Has(size_t row) const { return begin <= row && row < end; }
  bool operator==(const RowRange&) const = default;
};

// Rows in pages, cut as evenly as whole pages go. A rank has segments that follow each other, as
// many as the others as far as whole segments go.
class Segments {
 public:
  Segments(size_t rows, size_t page_rows, const Share& share = {})
      : rows_(rows),
        page_rows_(std::max<size_t>(1, page_rows)),
        pages_(std::max<size_t>(1, (rows + page_rows_ - 1) / page_rows_)),
        rank_(share.rank),
        ranks_(share.ranks) {}

  size_t count() const { return std::min(kMostSegments, pages_); }
  // Rows and segments that the rank has.
  RowRange held() const { return {RowOf(FirstOf(rank_)), RowOf(FirstOf(rank_ + 1))}; }
  size_t own() const { return FirstOf(rank_ + 1) - FirstOf(rank_); }
  // Whether the first segment is another rank's.
  bool follow() const { return rank_ > 0; }
  // Each of them is one page, or none.
  bool AreSinglePages() const { return pages_ <= kMostSegments; }
  // That of a row.
  size_t At(size_t row) const { return row / page_rows_ * count() / pages_; }

 private:
  // The first segment of a rank, and the first row of a segment: where the last one ends, of one
  // more.
  size_t FirstOf(size_t rank) const { return rank * count() / ranks_; }
  size_t RowOf(size_t segment) const {
    return std::min(rows_, (segment * pages_ + count() - 1) / count() * page_rows_);
  }

  size_t rows_, page_rows_, pages_, rank_, ranks_;
};

// Sums of segments, each added to those before it once it is whole: two are there at a time. A
// segment without rows adds nothing. A Sum has a zero and `to += std::move(from)`.
template <typename Sum>
class SegmentSums {
 public:
  using Zero = std::function<Sum()>;
  // `apart`: what comes before the first of them is another rank's, so that all stay by themselves
  // until it is there (team/join.h).
  explicit SegmentSums(Zero zero = {}, bool apart = false)
      : zero_(std::move(zero)), apart_(apart) {}

  // What a segment's rows are added to. Segments come in order: those before are at their ends.
  Sum& At(size_t segment) {
    if (sums_.empty() || segment != segment_) {
      if (!apart_) Join();
      sums_.push_back(zero_ ? zero_() : Sum());
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

  // Of a rank: those that are by themselves, in the order of the segments; one at least.
  std::span<Sum> Parts() {
    if (sums_.empty()) At(0);
    return sums_;
  }
  // The first of them has become the sum of all ranks' segments.
  void BecomeTotal() {
    sums_.erase(sums_.begin() + 1, sums_.end());
    apart_ = false;
  }

 private:
  void Join() {
    if (sums_.size() < 2) return;
    sums_.front() += std::move(sums_.back());
    sums_.pop_back();
  }

  Zero zero_;
  bool apart_;
  std::vector<Sum> sums_;  // of the segments that are whole, and of the one at hand
  size_t segment_ = 0;
};

// Sums that are there at a time, at most.
inline size_t MostSums(const Segments& segments) {
  return std::max<size_t>(1, std::min(segments.own(), segments.follow() ? kMostSegments : 2));
}

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
