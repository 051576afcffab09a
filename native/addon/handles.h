// Native objects as JavaScript holds them: opaque externals that share ownership. A
// garbage-collected handle frees its object; release() does it at once.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <string>
#include <typeinfo>
#include <unordered_set>
#include <utility>

#include "addon/arguments.h"
#include "addon/guard.h"
#include "core/context.h"

namespace struprune::addon {

// The handles that there are, in all threads: other addons' externals point to who knows what.
class LiveHandles {
 public:
  void Add(const void* handle) {
    const std::lock_guard lock(mutex_);
    handles_.insert(handle);
  }
  void Remove(const void* handle) {
    const std::lock_guard lock(mutex_);
    handles_.erase(handle);
  }
  bool Has(const void* handle) {
    const std::lock_guard lock(mutex_);
    return handles_.contains(handle);
  }

 private:
  std::mutex mutex_;
  std::unordered_set<const void*> handles_;
};
inline LiveHandles live_handles;

struct HandleBase {
  explicit HandleBase(const std::type_info& held) : type(held) { live_handles.Add(this); }
  virtual ~HandleBase() { live_handles.Remove(this); }
  HandleBase(const HandleBase&) = delete;
  HandleBase& operator=(const HandleBase&) = delete;
  void Release() { Take(); }
  // Whoever has what is returned frees it.
  virtual std::shared_ptr<void> Take() = 0;
  const std::type_info& type;
};

template <typename T>
struct Handle final : HandleBase {
  explicit Handle(std::shared_ptr<T> held) : HandleBase(typeid(T)), object(std::move(held)) {}
  std::shared_ptr<void> Take() override {
    return std::const_pointer_cast<std::remove_const_t<T>>(std::move(object));
  }
  std::shared_ptr<T> object;
};

template <typename T>
Napi::Value MakeHandle(Napi::Env env, std::shared_ptr<T> object) {
  auto handle = std::make_unique<Handle<T>>(std::move(object));
  auto external = Napi::External<HandleBase>::New(env, handle.get(),
                                                  [](Napi::Env, HandleBase* base) { delete base; });
  handle.release();  // now owned by the external
  return external;
}

inline HandleBase& GetHandleBase(const Napi::Value& value, const std::string& what) {
  if (!value.IsExternal()) throw BadArgument(what + " must be a native handle");
  auto* base = value.As<Napi::External<HandleBase>>().Data();
  if (!live_handles.Has(base)) throw BadArgument(what + " is not a handle of this addon");
  return *base;
}

// The object behind a handle of type T; ERR_ARGUMENT for any other value or a released handle.
template <typename T>
std::shared_ptr<T> GetHandle(const Napi::Value& value, const std::string& what) {
  HandleBase& base = GetHandleBase(value, what);
  if (base.type != typeid(T)) throw BadArgument(what + " is a handle of another kind");
  auto object = static_cast<Handle<T>&>(base).object;
  if (!object) throw BadArgument(what + " was released");
  return object;
}

// Of a call that has it as its first argument.
inline std::shared_ptr<Context> EngineOf(const Napi::CallbackInfo& info) {
  return GetHandle<Context>(info[0], "engine");
}

}  // namespace struprune::addon
