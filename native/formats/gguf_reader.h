// A cursor over the encoded part of a GGUF file that cannot leave it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace struprune {

// Value types of GGUF metadata, numbered as in the file.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// The specification's names in lower case: "uint8" … "float64", "string", "array".
std::string_view NameOf(GgufType type);
// Bytes of one value, for strings and arrays of an empty one.
uint64_t LeastBytesOf(GgufType type);

class GgufReader {
 public:
  struct ArrayHeader {
    GgufType element;
    uint64_t count;
  };

  // `where` names the file in messages.
  GgufReader(std::span<const std::byte> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  const std::string& where() const { return where_; }
  // What was read since `from`, a former position.
  std::span<const std::byte> Since(uint64_t from) const {
    return bytes_.subspan(from, position_ - from);
  }

  // All of these throw ERR_CHECKPOINT when the bytes end before the value does; `what` names the
  // value.
  template <typename T>
  T Read(const char* what) {
    T value;
    std::memcpy(&value, Take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> Take(uint64_t count, const char* what);
  std::string_view ReadString(const char* what);
  GgufType ReadType();
  // The count is at most what the remaining bytes can hold.
  ArrayHeader ReadArrayHeader();

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  uint64_t position_ = 0;
};

}  // namespace struprune
