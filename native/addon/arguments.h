// Positional primitives and plain objects out of JavaScript, checked.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "addon/plain.h"

namespace struprune::addon {

inline double GetNumber(const Napi::Value& value, const std::string& what) {
  if (!value.IsNumber()) throw BadArgument(what + " must be a number");
  return value.As<Napi::Number>().DoubleValue();
}

inline size_t GetSize(const Napi::Value& value, const std::string& what) {
  return SizeOf({GetNumber(value, what)}, what);
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

template <typename T, typename Array>
std::vector<T> GetTyped(const Napi::Value& value, napi_typedarray_type type,
                        const std::string& what, const char* kind) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throw BadArgument(what + " must be " + kind);
  }
  const auto array = value.As<Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

// Copies: JavaScript may change its array while a job runs.
inline std::vector<int32_t> GetIntegers(const Napi::Value& value, const std::string& what) {
  return GetTyped<int32_t, Napi::Int32Array>(value, napi_int32_array, what, "an Int32Array");
}
inline std::vector<double> GetDoubles(const Napi::Value& value, const std::string& what) {
  return GetTyped<double, Napi::Float64Array>(value, napi_float64_array, what, "a Float64Array");
}
inline std::vector<float> GetFloats(const Napi::Value& value, const std::string& what) {
  return GetTyped<float, Napi::Float32Array>(value, napi_float32_array, what, "a Float32Array");
}
inline std::vector<uint8_t> GetMask(const Napi::Value& value) {
  return GetTyped<uint8_t, Napi::Uint8Array>(value, napi_uint8_array, "the mask", "a Uint8Array");
}

}  // namespace struprune::addon
