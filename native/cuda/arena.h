// Which bytes of one slab of device memory are taken. Arithmetic alone, so that it runs anywhere;
// the slab is as large as the budget, which therefore cannot be passed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>

#include "cuda/abi.h"

namespace struprune::cuda {

class FreeList {
 public:
  static constexpr size_t kAlignment = kArrayUnit;

  explicit FreeList(size_t bytes) : limit_(bytes / kAlignment * kAlignment) {
    if (limit_ > 0) free_[0] = limit_;
  }

  // Offset of `bytes` in the smallest gap that holds them; empty when there is none.
  std::optional<size_t> Take(size_t bytes) {
    if (bytes > limit_) return std::nullopt;
    const size_t need = std::max(Rounded(bytes), kAlignment);
    auto best = free_.end();
    for (auto gap = free_.begin(); gap != free_.end(); ++gap) {
      if (gap->second >= need && (best == free_.end() || gap->second < best->second)) best = gap;
    }
    if (best == free_.end()) return std::nullopt;
    const auto [offset, size] = *best;
    free_.erase(best);
    if (size > need) free_[offset + need] = size - need;
    taken_[offset] = need;
    used_ += need;
    peak_ = std::max(peak_, used_);
    return offset;
  }

  // False when nothing was taken at that offset.
  bool Give(size_t offset) {
    const auto found = taken_.find(offset);
    if (found == taken_.end()) return false;
    size_t begin = offset, size = found->second;
    used_ -= size;
    taken_.erase(found);
    const auto after = free_.lower_bound(begin);
    if (after != free_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == begin) {
        begin = before->first;
        size += before->second;
        free_.erase(before);
      }
    }
    if (after != free_.end() && begin + size == after->first) {
      size += after->second;
      free_.erase(after);
    }
    free_[begin] = size;
    return true;
  }

  size_t used() const { return used_; }
  size_t peak() const { return peak_; }
  size_t limit() const { return limit_; }
  size_t largest_gap() const {
    size_t largest = 0;
    for (const auto& [offset, size] : free_) largest = std::max(largest, size);
    return largest;
  }
  static size_t Rounded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

 private:
  size_t limit_, used_ = 0, peak_ = 0;
  std::map<size_t, size_t> free_, taken_;  // offset -> bytes
};

}  // namespace struprune::cuda
