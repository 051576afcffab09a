// What JavaScript gave, as data that is read once: decode.h runs on it without Node.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"

namespace struprune::addon {

inline Error BadArgument(const std::string& what) {
  return Error("ERR_ARGUMENT", "native call: " + what);
}

struct PlainField;

struct Plain {
  using List = std::vector<Plain>;
  using Fields = std::vector<PlainField>;

  // Without a value: undefined, null, or what is no data.
  std::variant<std::monostate, bool, double, std::string, List, Fields> value;

  bool absent() const { return std::holds_alternative<std::monostate>(value); }
};

struct PlainField {
  std::string name;
  Plain value;
};

// All of these throw ERR_ARGUMENT, with `what`, for a value of another type.
const Plain::Fields& FieldsOf(const Plain& value, std::string_view what);
const Plain::List& ListOf(const Plain& value, std::string_view what);
const std::string& TextOf(const Plain& value, std::string_view what);
double NumberOf(const Plain& value, std::string_view what);
bool FlagOf(const Plain& value, std::string_view what);
// A whole number up to 2^53, which a double has exactly.
size_t SizeOf(const Plain& value, std::string_view what);

// A field of an object; without a value where there is none of that name.
const Plain& FieldOf(const Plain& object, std::string_view name);
double NumberIn(const Plain& object, std::string_view name);
size_t SizeIn(const Plain& object, std::string_view name);

}  // namespace struprune::addon
