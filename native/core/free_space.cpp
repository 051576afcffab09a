#include "core/free_space.h"

#include <algorithm>
#include <iterator>

namespace struprune {

uint64_t FreeSpace::Take(uint64_t bytes) {
  const auto fits = [&](const auto& range) { return range.second >= bytes; };
  const auto found = std::find_if(free_.begin(), free_.end(), fits);
  if (found == free_.end()) {
    end_ += bytes;
    return end_ - bytes;
  }
  const auto [offset, size] = *found;
  free_.erase(found);
  if (size > bytes) free_.emplace(offset + bytes, size - bytes);
  return offset;
}

void FreeSpace::Give(uint64_t offset, uint64_t bytes) {
  if (bytes == 0) return;
  auto after = free_.lower_bound(offset);
  if (after != free_.end() && offset + bytes == after->first) {
    bytes += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      free_.erase(before);
    }
  }
  if (offset + bytes == end_) {
    end_ = offset;
  } else {
    free_.emplace(offset, bytes);
  }
}

}  // namespace struprune
