#include "formats/gguf.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_set>

#include "core/error.h"
#include "formats/container.h"
#include "formats/gguf_tensor_types.h"

namespace struprune {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF" read as a little-endian number
constexpr uint32_t kDefaultAlignment = 32;
constexpr std::string_view kAlignmentKey = "general.alignment";
// The fewest bytes of an entry (key length, type, one byte) and of a tensor info (name length,
// number of dimensions, type, offset).
constexpr uint64_t kLeastEntry = 8 + 4 + 1;
constexpr uint64_t kLeastTensor = 8 + 4 + 4 + 8;

class Parser {
 public:
  Parser(std::span<const std::byte> file, const std::string& where)
      : file_size_(file.size()),
        where_(where),
        in_(file.first(std::min<uint64_t>(file.size(), kMaxGgufHeader)), where) {}

  GgufFile Parse() {
    ReadVersion();
    const auto tensors = in_.Read<uint64_t>("the number of tensors");
    const auto entries = in_.Read<uint64_t>("the number of metadata entries");
    RequireRoom(entries, kLeastEntry, "metadata entries");
    RequireRoom(tensors, kLeastTensor, "tensors");
    for (uint64_t i = 0; i < entries; ++i) ReadEntry();
    out_.alignment = Alignment();
    for (uint64_t i = 0; i < tensors; ++i) ReadTensor();
    PlaceTensors();
    return std::move(out_);
  }

 private:
  void ReadVersion() {
    if (in_.Read<uint32_t>("the magic") != kMagic) {
      FailContainer(where_, "does not begin with GGUF", "check that this is a GGUF file");
    }
    out_.version = in_.Read<uint32_t>("the version");
    // Files are written in the byte order of the machine; versions are small.
    if ((out_.version & 0xffff) == 0 && out_.version != 0) {
      throw Error("ERR_UNSUPPORTED", where_ + " is a big-endian GGUF file",
                  "convert it to little-endian (gguf-convert-endian)");
    }
    if (out_.version != 2 && out_.version != 3) {
      throw Error("ERR_UNSUPPORTED",
                  where_ + " has GGUF version " + std::to_string(out_.version) + ", not 2 or 3",
                  "convert the model again with a current llama.cpp");
    }
  }

  void RequireRoom(uint64_t count, uint64_t least, const char* what) const {
    if (count > in_.remaining() / least) {
      FailContainer(where_, "says that it has " + std::to_string(count) + " " + what +
                                ", which do not fit in the " + std::to_string(in_.remaining()) +
                                " bytes of its header");
    }
  }

  // Two different byte strings must not become one JavaScript string.
  std::string_view ReadName(const char* what) {
    const std::string_view name = in_.ReadString(what);
    if (!simdjson::validate_utf8(name.data(), name.size())) {
      FailContainer(where_, std::string(what) + " " + Quote(name) + " is not UTF-8");
    }
    return name;
  }

  void ReadEntry() {
    const std::string_view key = ReadName("a metadata key");
    if (!keys_.insert(key).second) {
      FailContainer(where_, "metadata key " + Quote(key) + " is there twice");
    }
    const GgufType type = in_.ReadType();
    const uint64_t start = in_.position();
    SkipValue(key, type, 0);
    out_.metadata.push_back({key, type, in_.Since(start)});
  }

  void SkipValue(std::string_view key, GgufType type, int depth) {
    if (type == GgufType::kString) {
      in_.ReadString("a metadata string");
    } else if (type == GgufType::kArray) {
      SkipArray(key, depth + 1);
    } else {
      in_.Take(LeastBytesOf(type), "a metadata value");
    }
  }

  void SkipArray(std::string_view key, int depth) {
    if (depth > kMaxGgufDepth) {
      FailContainer(where_, "metadata key " + Quote(key) + " has arrays nested deeper than " +
                                std::to_string(kMaxGgufDepth));
    }
    const auto [element, count] = in_.ReadArrayHeader();
    if (count > kMaxGgufElements - elements_) {
      FailContainer(where_, "metadata key " + Quote(key) +
                                " brings the array values to more than " +
                                std::to_string(kMaxGgufElements));
    }
    elements_ += count;
    if (element == GgufType::kString || element == GgufType::kArray) {
      for (uint64_t i = 0; i < count; ++i) SkipValue(key, element, depth);
    } else {
      in_.Take(count * LeastBytesOf(element), "a metadata array");
    }
  }

  uint32_t Alignment() const {
    const auto entry = std::find_if(out_.metadata.begin(), out_.metadata.end(),
                                    [](const GgufEntry& e) { return e.key == kAlignmentKey; });
    if (entry == out_.metadata.end()) return kDefaultAlignment;
    if (entry->type != GgufType::kUint32)
      FailContainer(where_, "general.alignment is not a uint32");
    const auto alignment = GgufReader(entry->bytes, where_).Read<uint32_t>("general.alignment");
    if (!std::has_single_bit(alignment) || alignment > kMaxGgufAlignment) {
      FailContainer(where_, "general.alignment is " + std::to_string(alignment) +
                                ", not a power of two up to " + std::to_string(kMaxGgufAlignment));
    }
    return alignment;
  }

  void ReadTensor() {
    const std::string_view name = ReadName("a tensor name");
    const auto dimensions = in_.Read<uint32_t>("a number of dimensions");
    if (dimensions > kMaxGgufDimensions) {
      FailContainer(where_, "tensor " + Quote(name) + " has " + std::to_string(dimensions) +
                                " dimensions, more than " + std::to_string(kMaxGgufDimensions));
    }
    std::vector<uint64_t> shape(dimensions);
    // The file has the fastest dimension first.
    for (auto width = shape.rbegin(); width != shape.rend(); ++width) {
      *width = in_.Read<uint64_t>("a dimension");
    }
    const auto id = in_.Read<uint32_t>("a tensor type");
    const GgmlType* type = FindGgmlType(id);
    if (type == nullptr) {
      throw Error(
          "ERR_UNSUPPORTED",
          where_ + ": tensor " + Quote(name) + " has the unknown type " + std::to_string(id),
          "convert the model to F16, Q8_0 or another type that this program reads");
    }
    const uint64_t bytes = BytesOf(name, shape, *type);
    const auto offset = in_.Read<uint64_t>("a tensor offset");
    out_.tensors.push_back(
        {std::string(name), std::string(type->name), std::move(shape), offset, bytes});
  }

  uint64_t BytesOf(std::string_view name, const std::vector<uint64_t>& shape,
                   const GgmlType& type) const {
    const std::optional<uint64_t> elements = CountElements(shape);
    const uint64_t row = shape.empty() ? 1 : shape.back();
    if (row % type.elements != 0) {
      FailContainer(where_, "tensor " + Quote(name) + " of type " + std::string(type.name) +
                                " has rows of " + std::to_string(row) +
                                " values, not a multiple of " + std::to_string(type.elements));
    }
    const std::optional<uint64_t> bytes =
        elements ? MultiplySizes(*elements / type.elements, type.bytes) : std::nullopt;
    if (!bytes) {
      FailContainer(where_,
                    "tensor " + Quote(name) + " has a shape whose size does not fit in 64 bits");
    }
    return *bytes;
  }

  // Offsets become absolute once the length of the header is known.
  void PlaceTensors() {
    const uint64_t mask = out_.alignment - 1;
    const uint64_t start = (in_.position() + mask) & ~mask;
    for (TensorInfo& tensor : out_.tensors) {
      if ((tensor.offset & mask) != 0) {
        FailContainer(where_, "tensor " + Quote(tensor.name) + " lies at offset " +
                                  std::to_string(tensor.offset) + ", not a multiple of " +
                                  std::to_string(out_.alignment));
      }
      const std::optional<uint64_t> offset = AddSizes(tensor.offset, start);
      const std::optional<uint64_t> end = offset ? AddSizes(*offset, tensor.bytes) : std::nullopt;
      if (!end || *end > file_size_) {
        FailContainer(where_, "tensor " + Quote(tensor.name) + " of " +
                                  std::to_string(tensor.bytes) + " bytes at offset " +
                                  std::to_string(tensor.offset) + " ends after the file of " +
                                  std::to_string(file_size_) + " bytes");
      }
      tensor.offset = *offset;
    }
    RequireUniqueNames(out_.tensors, where_);
    OrderByOffset(out_.tensors, where_);
  }

  uint64_t file_size_;
  const std::string& where_;
  GgufReader in_;
  GgufFile out_;
  std::unordered_set<std::string_view> keys_;
  // Array values so far, all entries together.
  uint64_t elements_ = 0;
};

// Reads one array and says its type: "array:" a level, then the element's name.
std::string ArrayTypeName(GgufReader& in) {
  const auto [element, count] = in.ReadArrayHeader();
  if (element == GgufType::kString) {
    for (uint64_t i = 0; i < count; ++i) in.ReadString("a string");
  } else if (element != GgufType::kArray) {
    in.Take(count * LeastBytesOf(element), "an array");
  } else if (count > 0) {
    const std::string first = ArrayTypeName(in);
    bool same = true;
    for (uint64_t i = 1; i < count; ++i) same = ArrayTypeName(in) == first && same;
    if (same) return "array:" + first;
  }
  return "array:" + std::string(NameOf(element));
}

}  // namespace

GgufFile ParseGguf(std::span<const std::byte> file, const std::string& where) {
  RefusePointer(file, where);
  return Parser(file, where).Parse();
}

std::string TypeNameOf(const GgufEntry& entry) {
  if (entry.type != GgufType::kArray) return std::string(NameOf(entry.type));
  GgufReader in(entry.bytes, std::string(entry.key));
  return ArrayTypeName(in);
}

}  // namespace struprune
