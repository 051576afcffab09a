// Element types of stored tensors and their block layouts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace struprune {

enum class Dtype : uint8_t {
  F32,
  F16,
  BF16,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q4_K,
  Q5_K,
  Q6_K,
  F8_E4M3,
  // OCP's micro-scaled floats: a value of 4 bits, a power of two, and GGUF's block of both.
  F4_E2M1,
  F8_E8M0,
  MXFP4
};

// Elements and bytes of one storage block (1 element for the float types).
struct DtypeLayout {
  size_t elements;
  size_t bytes;
};

DtypeLayout LayoutOf(Dtype dtype);
std::string_view NameOf(Dtype dtype);
std::optional<Dtype> DtypeFromName(std::string_view name);

}  // namespace struprune
