// Tensor types that ggml numbers: their names and block sizes.
#pragma once

#include <cstdint>
#include <string_view>

namespace struprune {

struct GgmlType {
  uint32_t id;
  std::string_view name;
  uint64_t elements;
  uint64_t bytes;
};

// Null for a number that ggml never used or has dropped.
const GgmlType* FindGgmlType(uint32_t id);

}  // namespace struprune
