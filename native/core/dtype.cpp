#include "core/dtype.h"

#include <array>

namespace struprune {
namespace {

struct Row {
  std::string_view name;
  DtypeLayout layout;
};

// In the order of the enum. Bytes of the block formats are the sums of their fields
// (ops/codec.cpp).
constexpr std::array<Row, 15> kRows{{
    {"F32", {1, 4}},
    {"F16", {1, 2}},
    {"BF16", {1, 2}},
    {"Q4_0", {32, 18}},
    {"Q4_1", {32, 20}},
    {"Q5_0", {32, 22}},
    {"Q5_1", {32, 24}},
    {"Q8_0", {32, 34}},
    {"Q4_K", {256, 144}},
    {"Q5_K", {256, 176}},
    {"Q6_K", {256, 210}},
    {"F8_E4M3", {1, 1}},
    {"F4_E2M1", {2, 1}},
    {"F8_E8M0", {1, 1}},
    {"MXFP4", {32, 17}},
}};

}  // namespace

DtypeLayout LayoutOf(Dtype dtype) { return kRows[static_cast<size_t>(dtype)].layout; }

std::string_view NameOf(Dtype dtype) { return kRows[static_cast<size_t>(dtype)].name; }

std::optional<Dtype> DtypeFromName(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

}  // namespace struprune
