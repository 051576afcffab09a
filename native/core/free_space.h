// Which ranges of a growing file are free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace struprune {

class FreeSpace {
 public:
  // Offset of a range of `bytes`: the first free one that is large enough, else the file's end,
  // which grows.
  uint64_t Take(uint64_t bytes);
  // Gives back a range that Take gave, or a part of one. Neighbours grow together.
  void Give(uint64_t offset, uint64_t bytes);
  // Bytes that the file reaches to.
  uint64_t end() const { return end_; }

 private:
  std::map<uint64_t, uint64_t> free_;  // offset -> bytes; no two touch, none touches the end
  uint64_t end_ = 0;
};

}  // namespace struprune
