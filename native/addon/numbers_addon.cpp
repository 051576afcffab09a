// exp, log and pow over vectors: JavaScript engines differ in the last bit of theirs, and what
// decides a byte of an output must not depend on the engine.
#include "addon/numbers_addon.h"

#include <cmath>

#include "addon/arguments.h"
#include "addon/guard.h"

namespace struprune::addon {
namespace {

template <typename Fn>
Napi::Value Map(const Napi::CallbackInfo& info, Fn fn) {
  const auto from = GetFloat64Array(info[0], "values");
  auto to = Napi::Float64Array::New(info.Env(), from.ElementLength());
  for (size_t i = 0; i < from.ElementLength(); ++i) to[i] = fn(from[i]);
  return to;
}

// (Float64Array) -> Float64Array
Napi::Value Exp(const Napi::CallbackInfo& info) {
  return Map(info, [](double x) { return std::exp(x); });
}

// (Float64Array) -> Float64Array
Napi::Value Log(const Napi::CallbackInfo& info) {
  return Map(info, [](double x) { return std::log(x); });
}

// (base, Float64Array of exponents) -> Float64Array
Napi::Value Pow(const Napi::CallbackInfo& info) {
  const double base = GetNumber(info[0], "base");
  const auto exponents = GetFloat64Array(info[1], "exponents");
  auto to = Napi::Float64Array::New(info.Env(), exponents.ElementLength());
  for (size_t i = 0; i < exponents.ElementLength(); ++i) to[i] = std::pow(base, exponents[i]);
  return to;
}

}  // namespace

void InitNumbers(Napi::Env env, Napi::Object exports) {
  Export<Exp>(env, exports, "exp");
  Export<Log>(env, exports, "log");
  Export<Pow>(env, exports, "pow");
}

}  // namespace struprune::addon
