// Constructors of the addon's classes, one set an environment: worker threads load the addon again.
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace struprune::addon {

class Constructors {
 public:
  static void Set(Napi::Env env, const std::string& name, Napi::Function constructor) {
    std::lock_guard lock(mutex_);
    auto& own = all_[env];
    if (own.empty()) env.AddCleanupHook([key = napi_env(env)] { Forget(key); });
    own[name] = Napi::Persistent(constructor);
  }
  static Napi::Object New(Napi::Env env, const std::string& name,
                          std::initializer_list<napi_value> arguments) {
    Napi::Function constructor;
    {
      std::lock_guard lock(mutex_);
      constructor = all_.at(env).at(name).Value();
    }
    return constructor.New(arguments);
  }

 private:
  using Own = std::map<std::string, Napi::FunctionReference>;
  static void Forget(napi_env env) {
    std::lock_guard lock(mutex_);
    all_.erase(env);
  }
  static inline std::mutex mutex_;
  static inline std::map<napi_env, Own> all_;
};

}  // namespace struprune::addon
