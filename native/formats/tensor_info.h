// Where a tensor lies in a container file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace struprune {

struct TensorInfo {
  std::string name;
  // As the format calls it; `DtypeFromName` says whether this program can read it.
  std::string dtype;
  // Row-major, slowest dimension first.
  std::vector<uint64_t> shape;
  // From the start of the file.
  uint64_t offset;
  uint64_t bytes;
};

}  // namespace struprune
