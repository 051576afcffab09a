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
    RequireRoom(entries, kLeastEntry, kMaxMetadataEntries, "metadata entries");
    RequireRoom(tensors, kLeastTensor, kMaxTensors, "tensors");
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

  void RequireRoom(uint64_t count, uint64_t least_bytes, uint64_t most, const char* what) const {
    const std::string says = "says that it has " + std::to_string(count) + " " + what;
    if (count > in_.remaining() / least_bytes) {
      FailContainer(where_, says + ", which do not fit in the " + std::to_string(in_.remaining()) +
                                " bytes of its header");
    }
    if (count > most) FailContainer(where_, says + ", more than " + std::to_string(most));
  }

  // Two different byte strings must not become one JavaScript string.
  static bool IsUtf8(std::string_view text) {
    return simdjson::validate_utf8(text.data(), text.size());
  }

  std::string_view ReadName(const char* what, uint64_t longest) {
    const std::string_view name = in_.ReadString(what);
    if (name.size() > longest) {
      FailContainer(where_, std::string(what) + " " + Quote(name) + " has " +
                                std::to_string(name.size()) + " bytes, more than " +
                                std::to_string(longest));
    }
    if (!IsUtf8(name)) {
      FailContainer(where_, std::string(what) + " " + Quote(name) + " is not UTF-8");
    }
    return name;
  }

  void ReadEntry() {
    const std::string_view key = ReadName("a metadata key", kMaxGgufKey);
    if (!keys_.insert(key).second) {
      FailContainer(where_, "metadata key " + Quote(key) + " is there twice");
    }
    const GgufType type = in_.ReadType();
    const uint64_t start = in_.position();
    if (type == GgufType::kArray) {
      CheckArray(key);
    } else {
      CheckValues(key, type, 1);
    }
    out_.metadata.push_back({key, type, in_.Since(start)});
  }

  void CheckArray(std::string_view key) {
    const auto [element, count] = in_.ReadArrayHeader();
    // As llama.cpp.
    if (element == GgufType::kArray) {
      FailContainer(where_, "metadata key " + Quote(key) + " has an array of arrays");
    }
    if (count > kMaxGgufElements - elements_) {
      FailContainer(where_, "metadata key " + Quote(key) +
                                " brings the array values to more than " +
                                std::to_string(kMaxGgufElements));
    }
    elements_ += count;
    CheckValues(key, element, count);
  }

  void CheckValues(std::string_view key, GgufType type, uint64_t count) {
    if (type == GgufType::kString) {
      for (uint64_t i = 0; i < count; ++i) {
        if (!IsUtf8(in_.ReadString("a metadata string"))) {
          FailContainer(where_, "metadata key " + Quote(key) + " has a string that is not UTF-8");
        }
      }
      return;
    }
    // ReadArrayHeader has compared the count with what is left.
    const auto values = in_.Take(count * LeastBytesOf(type), "a metadata value");
    const auto is_bool = [](std::byte value) { return value <= std::byte{1}; };
    if (type == GgufType::kBool && !std::all_of(values.begin(), values.end(), is_bool)) {
      FailContainer(where_, "metadata key " + Quote(key) + " has a bool that is neither 0 nor 1");
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
    const std::string_view name = ReadName("a tensor name", kMaxGgufName);
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

  uint64_t Padded(uint64_t size) const {
    const uint64_t mask = out_.alignment - 1;
    return (size + mask) & ~mask;
  }

  // As llama.cpp: the data lie in the order of the tensors, each at the padded end of the one
  // before. So a type or a width that is not the writer's own shows. Offsets become absolute.
  void PlaceTensors() {
    RequireUniqueNames(out_.tensors, where_);
    const uint64_t start = Padded(in_.position());
    const uint64_t room = file_size_ > start ? file_size_ - start : 0;
    uint64_t due = 0;
    for (TensorInfo& tensor : out_.tensors) {
      if (tensor.offset != due) {
        FailContainer(where_, "tensor " + Quote(tensor.name) + " lies at offset " +
                                  std::to_string(tensor.offset) + ", not at " +
                                  std::to_string(due) + ", where the data before it end");
      }
      if (start > file_size_ || due > room || tensor.bytes > room - due) {
        FailContainer(where_, "tensor " + Quote(tensor.name) + " of " +
                                  std::to_string(tensor.bytes) + " bytes at offset " +
                                  std::to_string(due) + " ends after the file of " +
                                  std::to_string(file_size_) + " bytes");
      }
      tensor.offset = start + due;
      due = Padded(due + tensor.bytes);
    }
    // The last padding may be left out.
    if (room > due) {
      FailContainer(where_, "has " + std::to_string(room - due) +
                                " bytes that belong to no tensor at its end");
    }
  }

  uint64_t file_size_;
  const std::string& where_;
  GgufReader in_;
  GgufFile out_;
  std::unordered_set<std::string_view> keys_;
  // Array values so far, all entries together.
  uint64_t elements_ = 0;
};

}  // namespace

GgufFile ParseGguf(std::span<const std::byte> file, const std::string& where) {
  RefusePointer(file, where);
  return Parser(file, where).Parse();
}

std::string TypeNameOf(const GgufEntry& entry) {
  if (entry.type != GgufType::kArray) return std::string(NameOf(entry.type));
  GgufReader in(entry.bytes, std::string(entry.key));
  return "array:" + std::string(NameOf(in.ReadArrayHeader().element));
}

}  // namespace struprune
