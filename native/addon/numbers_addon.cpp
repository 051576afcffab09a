// exp, log and pow over vectors: JavaScript engines differ in the last bit of theirs, and what
// decides a byte of an output must not depend on the engine. Sums of values of tokens.
#include <cmath>

#include "addon/addon.h"
#include "addon/arguments.h"
#include "addon/guard.h"
#include "addon/results.h"
#include "core/paged_matrix.h"
#include "core/segments.h"

namespace struprune::addon {
namespace {

template <typename Fn>
Napi::Value Map(const Napi::CallbackInfo& info, const Napi::Value& given, Fn fn) {
  auto values = GetDoubles(given, "values");
  for (double& value : values) value = fn(value);
  return Doubles(info.Env(), values);
}

// (Float64Array) -> Float64Array
Napi::Value Exp(const Napi::CallbackInfo& info) {
  return Map(info, info[0], [](double x) { return std::exp(x); });
}

// (Float64Array) -> Float64Array
Napi::Value Log(const Napi::CallbackInfo& info) {
  return Map(info, info[0], [](double x) { return std::log(x); });
}

// (base, Float64Array of exponents) -> Float64Array
Napi::Value Pow(const Napi::CallbackInfo& info) {
  const double base = GetNumber(info[0], "base");
  return Map(info, info[1], [base](double x) { return std::pow(base, x); });
}

// (Float64Array of a value a token, window) -> number
Napi::Value SumOf(const Napi::CallbackInfo& info) {
  const size_t window = GetSize(info[1], "window");
  if (window == 0) throw BadArgument("a window has a token at least");
  const auto values = GetDoubles(info[0], "values");
  return Napi::Number::New(info.Env(), SumOfTokens(values, PagedMatrix::PageRows(window)));
}

}  // namespace

void InitNumbers(Napi::Env env, Napi::Object exports) {
  Export<Exp>(env, exports, "exp");
  Export<Log>(env, exports, "log");
  Export<Pow>(env, exports, "pow");
  Export<SumOf>(env, exports, "sumOfTokens");
}

}  // namespace struprune::addon
