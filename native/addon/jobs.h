// Jobs of an engine: promises whose work has the engine's threads to itself.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "addon/guard.h"
#include "core/context.h"

namespace struprune::addon {

inline Napi::Value Nothing(Napi::Env env) { return env.Undefined(); }

// RunAsync for work that uses the engine: waits until no other job has it. `purpose`: what its
// products of floats are for, where it makes any.
inline Napi::Value RunOn(Napi::Env env, std::shared_ptr<Context> context,
                         std::function<void()> work, Purpose purpose = Purpose::kMeasuring,
                         AsyncTask::Finish finish = Nothing) {
  return RunAsync(
      env,
      [context = std::move(context), purpose, work = std::move(work)] {
        const std::lock_guard lock(context->job);
        context->BeginJob(purpose);
        context->CheckAbort();
        work();
      },
      std::move(finish));
}

// A job with a result; convert(env, result) makes it JavaScript's.
template <typename Compute, typename Convert>
Napi::Value ComputeOn(Napi::Env env, std::shared_ptr<Context> context, Compute compute,
                      Convert convert, Purpose purpose = Purpose::kMeasuring) {
  using Result = decltype(compute());
  const auto result = std::make_shared<std::optional<Result>>();
  return RunOn(
      env, std::move(context),
      [result, compute = std::move(compute)] { result->emplace(compute()); }, purpose,
      [result, convert = std::move(convert)](Napi::Env main) -> Napi::Value {
        return convert(main, std::move(**result));
      });
}

}  // namespace struprune::addon
