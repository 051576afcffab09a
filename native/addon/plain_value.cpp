#include "addon/plain_value.h"

#include <utility>

namespace struprune::addon {
namespace {

// No description is deeper.
constexpr int kMostLevels = 8;

Plain Read(const Napi::Value& value, int levels) {
  if (value.IsBoolean()) return {value.As<Napi::Boolean>().Value()};
  if (value.IsNumber()) return {value.As<Napi::Number>().DoubleValue()};
  if (value.IsString()) return {value.As<Napi::String>().Utf8Value()};
  if (!value.IsObject() || value.IsFunction()) return {};
  if (levels == 0) throw BadArgument("an object has too many levels");
  const auto object = value.As<Napi::Object>();
  if (value.IsArray()) {
    const auto array = value.As<Napi::Array>();
    Plain::List list;
    for (uint32_t i = 0, length = array.Length(); i < length; ++i) {
      list.push_back(Read(array.Get(i), levels - 1));
    }
    return {std::move(list)};
  }
  Plain::Fields fields;
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t i = 0, length = names.Length(); i < length; ++i) {
    const Napi::Value name = names.Get(i);
    fields.push_back({name.As<Napi::String>().Utf8Value(), Read(object.Get(name), levels - 1)});
  }
  return {std::move(fields)};
}

}  // namespace

Plain PlainOf(const Napi::Value& value) { return Read(value, kMostLevels); }

}  // namespace struprune::addon
