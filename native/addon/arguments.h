// Positional primitives and plain objects out of JavaScript, checked.
#pragma once

#include <napi.h>

#include <cmath>
#include <string>
#include <vector>

#include "addon/plain.h"

namespace struprune::addon {

inline double GetNumber(const Napi::Value& value, const std::string& what) {
  if (!value.IsNumber()) throw BadArgument(what + " must be a number");
  return value.As<Napi::Number>().DoubleValue();
}

inline size_t GetSize(const Napi::Value& value, const std::string& what) {
  const double number = GetNumber(value, what);
  if (!(number >= 0) || number > 9007199254740991.0 || number != std::floor(number)) {
    throw BadArgument(what + " must be a whole number >= 0");
  }
  return static_cast<size_t>(number);
}

inline bool GetBool(const Napi::Value& value, const std::string& what) {
  if (!value.IsBoolean()) throw BadArgument(what + " must be true or false");
  return value.As<Napi::Boolean>().Value();
}

inline std::string GetString(const Napi::Value& value, const std::string& what) {
  if (!value.IsString()) throw BadArgument(what + " must be a string");
  return value.As<Napi::String>().Utf8Value();
}

inline Napi::Object GetObject(const Napi::Value& value, const std::string& what) {
  if (!value.IsObject()) throw BadArgument(what + " must be an object");
  return value.As<Napi::Object>();
}

inline Napi::Array GetArray(const Napi::Value& value, const std::string& what) {
  if (!value.IsArray()) throw BadArgument(what + " must be an array");
  return value.As<Napi::Array>();
}

// Of an engine.
inline size_t GetThreads(const Napi::Value& value) {
  const size_t threads = GetSize(value, "threads");
  if (threads == 0 || threads > 1024) throw BadArgument("threads must be 1 to 1024");
  return threads;
}

// Copies an Int32Array.
inline std::vector<int32_t> GetInt32Array(const Napi::Value& value, const std::string& what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    throw BadArgument(what + " must be an Int32Array");
  }
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

inline Napi::Float64Array GetFloat64Array(const Napi::Value& value, const std::string& what) {
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    throw BadArgument(what + " must be a Float64Array");
  }
  return value.As<Napi::Float64Array>();
}

template <typename T, typename Array>
Array CopyToTyped(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace struprune::addon
