#include "formats/container.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "core/error.h"

namespace struprune {

void FailContainer(const std::string& where, const std::string& what, const std::string& mend) {
  throw Error("ERR_CHECKPOINT", where + ": " + what, mend);
}

void RefusePointer(std::span<const std::byte> file, const std::string& where) {
  constexpr std::string_view kPointer = "version https://git-lfs.github.com/";
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (text.starts_with(kPointer)) {
    FailContainer(where, "is a Git LFS pointer and not the file itself",
                  "fetch the file: git lfs pull in its repository, or a download of its own");
  }
}

std::string Quote(std::string_view text) {
  constexpr size_t kLongest = 80;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kLongest)) {
    const auto code = static_cast<unsigned char>(c);
    // Bytes above ASCII could be half of a cut character.
    quoted += code < 0x20 || code > 0x7e ? '?' : c;
  }
  return quoted + (text.size() > kLongest ? "...\"" : "\"");
}

std::optional<uint64_t> AddSizes(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional(sum);
}

std::optional<uint64_t> MultiplySizes(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional(product);
}

std::optional<uint64_t> CountElements(std::span<const uint64_t> shape) {
  std::optional<uint64_t> count = 1;
  for (const uint64_t width : shape) {
    count = MultiplySizes(*count, width);
    if (!count) return std::nullopt;
  }
  return count;
}

std::vector<size_t> OrderByOffset(const std::vector<TensorInfo>& tensors,
                                  const std::string& where) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Empty tensors come before the one that starts at the same byte.
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(tensors[a].offset, tensors[a].bytes) <
           std::pair(tensors[b].offset, tensors[b].bytes);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const TensorInfo& before = tensors[order[i - 1]];
    const TensorInfo& after = tensors[order[i]];
    if (before.offset + before.bytes > after.offset) {
      FailContainer(where, "tensors " + Quote(before.name) + " and " + Quote(after.name) +
                               " overlap at byte " + std::to_string(after.offset));
    }
  }
  return order;
}

void RequireUniqueNames(const std::vector<TensorInfo>& tensors, const std::string& where) {
  std::unordered_set<std::string_view> seen;
  for (const TensorInfo& tensor : tensors) {
    if (!seen.insert(tensor.name).second) {
      FailContainer(where, "tensor " + Quote(tensor.name) + " is there twice");
    }
  }
}

}  // namespace struprune
