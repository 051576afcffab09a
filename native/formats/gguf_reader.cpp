#include "formats/gguf_reader.h"

#include <array>
#include <bit>

#include "formats/container.h"

namespace struprune {
namespace {

static_assert(std::endian::native == std::endian::little);

struct TypeRow {
  std::string_view name;
  // The fewest bytes of one value: a string has its length, an array its element type and count.
  uint64_t least_bytes;
};

constexpr std::array<TypeRow, 13> kTypes{{
    {"uint8", 1},
    {"int8", 1},
    {"uint16", 2},
    {"int16", 2},
    {"uint32", 4},
    {"int32", 4},
    {"float32", 4},
    {"bool", 1},
    {"string", 8},
    {"array", 12},
    {"uint64", 8},
    {"int64", 8},
    {"float64", 8},
}};

}  // namespace

std::string_view NameOf(GgufType type) { return kTypes[static_cast<size_t>(type)].name; }

uint64_t LeastBytesOf(GgufType type) { return kTypes[static_cast<size_t>(type)].least_bytes; }

std::span<const std::byte> GgufReader::Take(uint64_t count, const char* what) {
  if (count > remaining()) {
    FailContainer(where_, std::string(what) + " at byte " + std::to_string(position_) + " needs " +
                              std::to_string(count) + " bytes, but " + std::to_string(remaining()) +
                              " are left");
  }
  const auto taken = bytes_.subspan(position_, count);
  position_ += count;
  return taken;
}

std::string_view GgufReader::ReadString(const char* what) {
  const auto taken = Take(Read<uint64_t>(what), what);
  return {reinterpret_cast<const char*>(taken.data()), taken.size()};
}

GgufType GgufReader::ReadType() {
  const auto type = Read<uint32_t>("a value type");
  if (type >= kTypes.size()) {
    FailContainer(where_, "has the unknown value type " + std::to_string(type) + " before byte " +
                              std::to_string(position_));
  }
  return static_cast<GgufType>(type);
}

GgufReader::ArrayHeader GgufReader::ReadArrayHeader() {
  const GgufType element = ReadType();
  const auto count = Read<uint64_t>("an array length");
  if (count > remaining() / LeastBytesOf(element)) {
    FailContainer(where_, "has an array of " + std::to_string(count) + " values at byte " +
                              std::to_string(position_) + ", but only " +
                              std::to_string(remaining()) + " bytes are left");
  }
  return {element, count};
}

}  // namespace struprune
