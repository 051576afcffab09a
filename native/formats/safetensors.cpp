#include "formats/safetensors.h"

#include <simdjson.h>

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "formats/container.h"

namespace struprune {
namespace {

static_assert(std::endian::native == std::endian::little);

namespace json = simdjson::ondemand;

constexpr uint64_t kPrefix = 8;
// As torch and NumPy have it.
constexpr uint64_t kMaxDimensions = 64;

struct DtypeBits {
  std::string_view name;
  uint64_t bits;
};

// Every dtype of the format, so that a file with an integer buffer beside its weights can be
// opened.
constexpr std::array<DtypeBits, 22> kDtypes{{
    {"F32", 32},    {"F16", 16},    {"BF16", 16}, {"F64", 64},        {"I64", 64},
    {"I32", 32},    {"I16", 16},    {"I8", 8},    {"U64", 64},        {"U32", 32},
    {"U16", 16},    {"U8", 8},      {"BOOL", 8},  {"C64", 64},        {"F8_E5M2", 8},
    {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F4", 4},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
    {"F6_E2M3", 6}, {"F6_E3M2", 6},
}};

std::optional<uint64_t> BitsOf(std::string_view dtype) {
  for (const DtypeBits& row : kDtypes) {
    if (row.name == dtype) return row.bits;
  }
  return std::nullopt;
}

// One tensor's entry while it is read.
class EntryReader {
 public:
  EntryReader(const std::string& where, std::string_view name) : where_(where), name_(name) {}

  TensorInfo Read(json::value value, uint64_t data_start, uint64_t data_bytes) {
    json::object fields;
    if (value.get(fields) != simdjson::SUCCESS) Fail("is not described by an object");
    for (auto field : fields) {
      const std::string_view key = field.unescaped_key();
      ReadField(key, field.value());
    }
    if (!dtype_) Fail("has no dtype");
    if (!shape_) Fail("has no shape");
    if (!range_) Fail("has no data_offsets");
    if (range_->size() != 2 || range_->front() > range_->back()) {
      Fail("has data_offsets that are not a range");
    }
    const uint64_t begin = range_->front(), end = range_->back();
    if (end > data_bytes) {
      Fail("ends at byte " + std::to_string(end) + " of the data, which has " +
           std::to_string(data_bytes));
    }
    TensorInfo tensor{std::string(name_), std::move(*dtype_), std::move(*shape_),
                      data_start + begin, end - begin};
    CheckSize(tensor);
    return tensor;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    FailContainer(where_, "tensor " + Quote(name_) + " " + what);
  }

  void ReadField(std::string_view key, json::value value) {
    if (key == "dtype") {
      SetOnce(dtype_, Dtype(value), key);
    } else if (key == "shape") {
      SetOnce(shape_, Numbers(value, key), key);
    } else if (key == "data_offsets") {
      SetOnce(range_, Numbers(value, key), key);
    } else {
      Fail("has the unknown field " + Quote(key));
    }
  }

  template <typename T>
  void SetOnce(std::optional<T>& slot, T value, std::string_view key) const {
    if (slot) Fail("has " + std::string(key) + " twice");
    slot = std::move(value);
  }

  std::string Dtype(json::value value) const {
    std::string_view dtype;
    if (value.get(dtype) != simdjson::SUCCESS) Fail("has a dtype that is not a string");
    if (!BitsOf(dtype)) Fail("has the unknown dtype " + Quote(dtype));
    return std::string(dtype);
  }

  std::vector<uint64_t> Numbers(json::value value, std::string_view key) const {
    json::array array;
    const std::string has = "has a " + std::string(key);
    if (value.get(array) != simdjson::SUCCESS) Fail(has + " that is not an array");
    std::vector<uint64_t> numbers;
    for (auto element : array) {
      if (numbers.size() == kMaxDimensions) {
        Fail(has + " of more than " + std::to_string(kMaxDimensions) + " entries");
      }
      uint64_t number = 0;
      // Also false for negative numbers and fractions.
      if (element.get(number) != simdjson::SUCCESS) {
        Fail(has + " with an entry that is not a non-negative integer");
      }
      numbers.push_back(number);
    }
    return numbers;
  }

  void CheckSize(const TensorInfo& tensor) const {
    const std::optional<uint64_t> elements = CountElements(tensor.shape);
    const std::optional<uint64_t> bits =
        elements ? MultiplySizes(*elements, *BitsOf(tensor.dtype)) : std::nullopt;
    if (!bits) Fail("has a shape whose size does not fit in 64 bits");
    if (*bits % 8 != 0 || *bits / 8 != tensor.bytes) {
      Fail("has " + std::to_string(tensor.bytes) +
           " bytes of data where its shape and dtype need " + std::to_string(*bits / 8));
    }
  }

  const std::string& where_;
  std::string_view name_;
  std::optional<std::string> dtype_;
  std::optional<std::vector<uint64_t>> shape_, range_;
};

void ReadMetadata(json::value value, const std::string& where, SafetensorsFile& out) {
  if (value.is_null()) return;
  json::object fields;
  if (value.get(fields) != simdjson::SUCCESS) FailContainer(where, "__metadata__ is not an object");
  for (auto field : fields) {
    const std::string_view key = field.unescaped_key();
    std::string_view text;
    if (field.value().get(text) != simdjson::SUCCESS) {
      FailContainer(where, "__metadata__ entry " + Quote(key) + " is not a string");
    }
    if (out.metadata.size() == kMaxMetadataEntries) {
      FailContainer(
          where, "__metadata__ has more than " + std::to_string(kMaxMetadataEntries) + " entries");
    }
    out.metadata.emplace_back(key, text);
  }
}

// The JSON text of the header, without the length in front of it.
std::string_view HeaderText(std::span<const std::byte> file, const std::string& where) {
  if (file.size() < kPrefix) {
    FailContainer(where,
                  "has " + std::to_string(file.size()) + " bytes, too few for a safetensors file");
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kPrefix);
  if (length > kMaxSafetensorsHeader) {
    FailContainer(where,
                  "says that its header has " + std::to_string(length) + " bytes, more than " +
                      std::to_string(kMaxSafetensorsHeader),
                  "check that this is a safetensors file, and fetch it again");
  }
  if (length > file.size() - kPrefix) {
    FailContainer(where, "says that its header has " + std::to_string(length) +
                             " bytes, but the file ends after " +
                             std::to_string(file.size() - kPrefix));
  }
  const auto* text = reinterpret_cast<const char*>(file.data() + kPrefix);
  // Seen before the JSON parser takes memory in proportion to the header.
  if (length == 0 || text[0] != '{') FailContainer(where, "has a header that is not a JSON object");
  return {text, static_cast<size_t>(length)};
}

// Reads entry after entry out of the text: a tree of it would take 14 times its length.
void ReadHeader(std::string_view text, uint64_t data_bytes, const std::string& where,
                SafetensorsFile& out) {
  const simdjson::padded_string padded(text);
  json::parser parser;
  json::document document = parser.iterate(padded);
  bool has_metadata = false;
  for (auto field : document.get_object()) {
    const std::string_view key = field.unescaped_key();
    if (key == "__metadata__") {
      if (has_metadata) FailContainer(where, "__metadata__ is there twice");
      has_metadata = true;
      ReadMetadata(field.value(), where, out);
    } else {
      if (out.tensors.size() == kMaxTensors) {
        FailContainer(where, "has more than " + std::to_string(kMaxTensors) + " tensors");
      }
      out.tensors.push_back(
          EntryReader(where, key).Read(field.value(), kPrefix + text.size(), data_bytes));
    }
  }
  if (!document.at_end()) FailContainer(where, "has a header that goes on after its JSON object");
}

}  // namespace

SafetensorsFile ParseSafetensors(std::span<const std::byte> file, const std::string& where) {
  RefusePointer(file, where);
  const std::string_view text = HeaderText(file, where);
  const uint64_t data_start = kPrefix + text.size();
  SafetensorsFile out;
  try {
    ReadHeader(text, file.size() - data_start, where, out);
  } catch (const simdjson::simdjson_error& error) {
    FailContainer(where, std::string("has a header that is not a JSON object: ") + error.what());
  }
  RequireUniqueNames(out.tensors, where);
  uint64_t end = data_start;
  for (const size_t index : OrderByOffset(out.tensors, where)) {
    const TensorInfo& tensor = out.tensors[index];
    if (tensor.offset != end) {
      FailContainer(where, "has " + std::to_string(tensor.offset - end) +
                               " bytes that belong to no tensor before " + Quote(tensor.name));
    }
    end += tensor.bytes;
  }
  if (end != file.size()) {
    FailContainer(where, "has " + std::to_string(file.size() - end) +
                             " bytes that belong to no tensor at its end");
  }
  return out;
}

}  // namespace struprune
