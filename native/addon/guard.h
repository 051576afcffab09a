// How C++ meets JavaScript: every synchronous entry runs inside Guard, every long one inside
// RunAsync. Both turn struprune::Error into a JavaScript Error with `code` and `mend`; nothing else
// escapes.
#pragma once

#include <napi.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/error.h"

namespace struprune::addon {

inline Napi::Error ToJsError(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Set("code", Napi::String::New(env, error.code()));
  js.Set("mend", Napi::String::New(env, error.mend()));
  return js;
}

inline Error FromCurrentException() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error("ERR_BUDGET", "the system gave no more memory", "lower --memory, or free memory");
  } catch (const std::exception& error) {
    return Error("ERR_INTERNAL", error.what());
  } catch (...) {
    return Error("ERR_INTERNAL", "unknown native failure");
  }
}

// Runs fn(); a C++ exception becomes a pending JavaScript exception. (A std::exception that leaves
// a N-API entry would end the process.)
template <typename Fn>
Napi::Value Guard(const Napi::CallbackInfo& info, Fn&& fn) {
  try {
    return fn();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw ToJsError(info.Env(), FromCurrentException());
  }
}

// Adds a function that runs inside Guard.
template <Napi::Value (*fn)(const Napi::CallbackInfo&)>
void Export(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(
      name,
      Napi::Function::New(
          env, [](const Napi::CallbackInfo& info) { return Guard(info, [&] { return fn(info); }); },
          name));
}

// Runs `work` on a worker thread and resolves with `finish(env)` on the main thread. Whatever
// `work` captures must own what it uses.
class AsyncTask : public Napi::AsyncWorker {
 public:
  using Finish = std::function<Napi::Value(Napi::Env)>;

  AsyncTask(Napi::Env env, std::function<void()> work, Finish finish)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      work_();
    } catch (...) {
      failure_ = FromCurrentException();
    }
  }
  void OnOK() override {
    try {
      Settle();
    } catch (const Napi::Error&) {
      // The worker thread is being terminated: nobody is there who could hear of it.
    }
  }

 private:
  void Settle() {
    Napi::HandleScope scope(Env());
    if (failure_) {
      deferred_.Reject(ToJsError(Env(), *failure_).Value());
      return;
    }
    try {
      deferred_.Resolve(finish_(Env()));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    } catch (...) {
      deferred_.Reject(ToJsError(Env(), FromCurrentException()).Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  std::function<void()> work_;
  Finish finish_;
  std::optional<Error> failure_;
};

inline Napi::Value RunAsync(Napi::Env env, std::function<void()> work, AsyncTask::Finish finish) {
  auto* task = new AsyncTask(env, std::move(work), std::move(finish));  // deletes itself when done
  const Napi::Promise promise = task->promise();
  task->Queue();
  return promise;
}

}  // namespace struprune::addon
