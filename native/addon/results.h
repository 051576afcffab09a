// What native calls return, as JavaScript has it: copies in arrays that V8 allocated.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "solver/columns.h"

namespace struprune::addon {

inline Napi::Value Number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

// What a solver came to: the ridge λ, and how often it was raised for that.
inline void SetRidge(Napi::Object object, double lambda, int raised) {
  object.Set("lambda", lambda);
  object.Set("ridgeRaised", raised);
}

template <typename Array, typename T>
Napi::Value CopyTo(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}
inline Napi::Value Doubles(Napi::Env env, const std::vector<double>& values) {
  return CopyTo<Napi::Float64Array>(env, values);
}
// {weightAbsMean, weightNormSq, weightShare}
inline Napi::Object ColumnsObject(Napi::Env env, const WeightColumns& columns) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("weightAbsMean", Doubles(env, columns.abs_mean));
  object.Set("weightNormSq", Doubles(env, columns.norm_sq));
  object.Set("weightShare", Doubles(env, columns.share));
  return object;
}
inline Napi::Value Floats(Napi::Env env, const std::vector<float>& values) {
  return CopyTo<Napi::Float32Array>(env, values);
}
inline Napi::Value Integers(Napi::Env env, const std::vector<int32_t>& values) {
  return CopyTo<Napi::Int32Array>(env, values);
}
inline Napi::Value Bytes(Napi::Env env, const std::vector<std::byte>& bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  std::copy_n(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), array.Data());
  return array;
}

}  // namespace struprune::addon
