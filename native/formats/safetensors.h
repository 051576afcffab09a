// Header of a safetensors file: an 8-byte little-endian length, a JSON object that names the
// tensors, then their bytes without holes. Format: https://huggingface.co/docs/safetensors
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "formats/tensor_info.h"

namespace struprune {

struct SafetensorsFile {
  // In the order of the header.
  std::vector<TensorInfo> tensors;
  std::vector<std::pair<std::string, std::string>> metadata;
};

// The longest header that the format allows.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// Reads and checks the header of `file`, the whole file (mapped: only the header is touched).
// `where` names the file in messages. Throws ERR_CHECKPOINT on anything that the format does not
// allow: the header's length, its JSON, dtypes, shapes, and data that are not contiguous up to the
// file's end.
SafetensorsFile ParseSafetensors(std::span<const std::byte> file, const std::string& where);

}  // namespace struprune
