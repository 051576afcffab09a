// What both container formats check alike: sizes without overflow, tensors that do not overlap, and
// messages that a hostile file cannot garble.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_info.h"

namespace struprune {

// Limits on what a header may ask for, whatever its length: real files stay far below them.
inline constexpr uint64_t kMaxTensors = uint64_t{1} << 18;
inline constexpr uint64_t kMaxMetadataEntries = uint64_t{1} << 16;

// Throws ERR_CHECKPOINT: "<where>: <what>".
[[noreturn]] void FailContainer(const std::string& where, const std::string& what,
                                const std::string& mend = "fetch or convert the file again");

// Throws ERR_CHECKPOINT for what a clone without git-lfs has in a file's place.
void RefusePointer(std::span<const std::byte> file, const std::string& where);

// The text in quotes, without control characters, shortened to what fits in a message.
std::string Quote(std::string_view text);

// Sum and product, or nothing when they do not fit.
std::optional<uint64_t> AddSizes(uint64_t a, uint64_t b);
std::optional<uint64_t> MultiplySizes(uint64_t a, uint64_t b);
// Product of a shape, 1 for an empty one; nothing when it does not fit.
std::optional<uint64_t> CountElements(std::span<const uint64_t> shape);

// Indices of the tensors by offset; throws ERR_CHECKPOINT when two of them share bytes.
// Each `offset + bytes` must fit, which the callers have checked against the file size.
std::vector<size_t> OrderByOffset(const std::vector<TensorInfo>& tensors, const std::string& where);

// Throws ERR_CHECKPOINT when two names are equal.
void RequireUniqueNames(const std::vector<TensorInfo>& tensors, const std::string& where);

}  // namespace struprune
