#include "addon/plain.h"

#include <cmath>

namespace struprune::addon {
namespace {

template <typename T>
const T& As(const Plain& value, std::string_view what, const char* kind) {
  const T* const found = std::get_if<T>(&value.value);
  if (!found) throw BadArgument(std::string(what) + " must be " + kind);
  return *found;
}

}  // namespace

const Plain::Fields& FieldsOf(const Plain& value, std::string_view what) {
  return As<Plain::Fields>(value, what, "an object");
}

const Plain::List& ListOf(const Plain& value, std::string_view what) {
  return As<Plain::List>(value, what, "an array");
}

const std::string& TextOf(const Plain& value, std::string_view what) {
  return As<std::string>(value, what, "a string");
}

double NumberOf(const Plain& value, std::string_view what) {
  return As<double>(value, what, "a number");
}

bool FlagOf(const Plain& value, std::string_view what) {
  return As<bool>(value, what, "true or false");
}

size_t SizeOf(const Plain& value, std::string_view what) {
  const double number = NumberOf(value, what);
  if (!(number >= 0) || number > 9007199254740991.0 || number != std::floor(number)) {
    throw BadArgument(std::string(what) + " must be a whole number >= 0");
  }
  return static_cast<size_t>(number);
}

const Plain& FieldOf(const Plain& object, std::string_view name) {
  static const Plain kAbsent;
  for (const PlainField& field : FieldsOf(object, "what has " + std::string(name))) {
    if (field.name == name) return field.value;
  }
  return kAbsent;
}

double NumberIn(const Plain& object, std::string_view name) {
  return NumberOf(FieldOf(object, name), name);
}

size_t SizeIn(const Plain& object, std::string_view name) {
  return SizeOf(FieldOf(object, name), name);
}

}  // namespace struprune::addon
