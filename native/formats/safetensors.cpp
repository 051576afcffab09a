#include "formats/safetensors.h"

#include <simdjson.h>

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "formats/container.h"

namespace struprune {
namespace {

static_assert(std::endian::native == std::endian::little);

namespace dom = simdjson::dom;

constexpr uint64_t kPrefix = 8;

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

// One tensor's entry while it is read; the views live as long as the JSON parser.
class EntryReader {
 public:
  EntryReader(const std::string& where, std::string_view name) : where_(where), name_(name) {}

  TensorInfo Read(dom::element value, uint64_t data_start, uint64_t data_bytes) {
    dom::object fields;
    if (value.get(fields) != simdjson::SUCCESS) Fail("is not described by an object");
    for (const auto& [key, field] : fields) {
      if (key == "dtype") SetOnce(dtype_, field, "dtype");
      if (key == "shape") SetOnce(shape_, field, "shape");
      if (key == "data_offsets") SetOnce(offsets_, field, "data_offsets");
    }
    TensorInfo tensor{std::string(name_), Dtype(), Numbers(shape_, "shape"), 0, 0};
    const std::vector<uint64_t> range = Numbers(offsets_, "data_offsets");
    if (range.size() != 2 || range[0] > range[1]) Fail("has data_offsets that are not a range");
    if (range[1] > data_bytes) {
      Fail("ends at byte " + std::to_string(range[1]) + " of the data, which has " +
           std::to_string(data_bytes));
    }
    tensor.offset = data_start + range[0];
    tensor.bytes = range[1] - range[0];
    CheckSize(tensor);
    return tensor;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    FailContainer(where_, "tensor " + Quote(name_) + " " + what);
  }

  void SetOnce(std::optional<dom::element>& slot, dom::element value, const char* key) const {
    if (slot) Fail(std::string("has ") + key + " twice");
    slot = value;
  }

  std::string Dtype() const {
    std::string_view dtype;
    if (!dtype_ || dtype_->get(dtype) != simdjson::SUCCESS) Fail("has no dtype");
    if (!BitsOf(dtype)) Fail("has the unknown dtype " + Quote(dtype));
    return std::string(dtype);
  }

  std::vector<uint64_t> Numbers(const std::optional<dom::element>& field, const char* key) const {
    dom::array array;
    if (!field || field->get(array) != simdjson::SUCCESS) Fail(std::string("has no ") + key);
    std::vector<uint64_t> numbers;
    for (const dom::element element : array) {
      uint64_t number = 0;
      // Also false for negative numbers and fractions.
      if (element.get(number) != simdjson::SUCCESS) {
        Fail(std::string("has a ") + key + " with an entry that is not a non-negative integer");
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
  std::optional<dom::element> dtype_, shape_, offsets_;
};

void ReadMetadata(dom::element value, const std::string& where, SafetensorsFile& out) {
  if (value.is_null()) return;
  dom::object fields;
  if (value.get(fields) != simdjson::SUCCESS) FailContainer(where, "__metadata__ is not an object");
  for (const auto& [key, field] : fields) {
    std::string_view text;
    if (field.get(text) != simdjson::SUCCESS) {
      FailContainer(where, "__metadata__ entry " + Quote(key) + " is not a string");
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

}  // namespace

SafetensorsFile ParseSafetensors(std::span<const std::byte> file, const std::string& where) {
  RefusePointer(file, where);
  const std::string_view text = HeaderText(file, where);
  dom::parser parser;
  dom::object header;
  if (const auto error = parser.parse(text.data(), text.size()).get(header)) {
    FailContainer(where, std::string("has a header that is not a JSON object: ") +
                             simdjson::error_message(error));
  }
  const uint64_t data_start = kPrefix + text.size();
  SafetensorsFile out;
  bool has_metadata = false;
  for (const auto& [key, value] : header) {
    if (key == "__metadata__") {
      if (has_metadata) FailContainer(where, "__metadata__ is there twice");
      has_metadata = true;
      ReadMetadata(value, where, out);
    } else {
      out.tensors.push_back(
          EntryReader(where, key).Read(value, data_start, file.size() - data_start));
    }
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
