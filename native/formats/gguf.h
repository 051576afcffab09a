// Header of a GGUF file, versions 2 and 3, little-endian: typed metadata, tensor infos, then the
// data. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_reader.h"
#include "formats/tensor_info.h"

namespace struprune {

// One checked metadata entry. The views look into the parsed bytes: a vocabulary of 128k tokens
// costs nothing until somebody walks it with a GgufReader over `bytes`.
struct GgufEntry {
  std::string_view key;
  GgufType type;
  // The encoded value, without key and type.
  std::span<const std::byte> bytes;
};

struct GgufFile {
  uint32_t version = 0;
  uint32_t alignment = 0;
  std::vector<GgufEntry> metadata;
  // Shapes are turned to row-major, slowest first (the file has them the other way round).
  std::vector<TensorInfo> tensors;
};

// Limits on what a file may ask for; real files stay far below them.
inline constexpr uint64_t kMaxGgufHeader = uint64_t{256} << 20;
inline constexpr uint64_t kMaxGgufElements = uint64_t{1} << 24;
inline constexpr uint64_t kMaxGgufKey = 65535;
// ggml's: a name and its final zero in 64 bytes.
inline constexpr uint64_t kMaxGgufName = 63;
inline constexpr uint32_t kMaxGgufDimensions = 4;
inline constexpr uint32_t kMaxGgufAlignment = 1u << 20;

// Reads and checks everything before the tensor data of `file`, the whole file (mapped: only the
// header is touched). The result looks into `file`. `where` names it in messages. Throws
// ERR_CHECKPOINT on what the format or llama.cpp does not allow (lengths past the end, doubled keys
// or names, arrays of arrays, tensor data that do not follow each other up to the file's end),
// ERR_UNSUPPORTED on other versions, big-endian files and unknown tensor types.
GgufFile ParseGguf(std::span<const std::byte> file, const std::string& where);

// Type of an entry as the writer needs it back: "uint32", "string", "array:float32".
std::string TypeNameOf(const GgufEntry& entry);

}  // namespace struprune
