// About the process as a whole, and what only native code can do for it.
#include "addon/addon.h"
#include "addon/arguments.h"
#include "addon/guard.h"
#include "core/os/file_lock.h"
#include "core/os/memory.h"

namespace struprune::addon {
namespace {

// () -> largest resident size of the process so far, bytes
Napi::Value PeakRss(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(os::PeakResident()));
}

// (descriptor) -> "taken", "held" or "unknown"
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  const auto descriptor = static_cast<int>(GetSize(info[0], "descriptor"));
  switch (os::TryLock(descriptor)) {
    case os::FileLock::kTaken:
      return Napi::String::New(info.Env(), "taken");
    case os::FileLock::kHeld:
      return Napi::String::New(info.Env(), "held");
    case os::FileLock::kUnknown:
      break;
  }
  return Napi::String::New(info.Env(), "unknown");
}

// (typed array): frees its bytes now; the array is empty afterwards. The garbage collector would
// let tens of MiB gather.
Napi::Value DropBytes(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray()) throw BadArgument("bytes must be a typed array");
  Napi::ArrayBuffer buffer = info[0].As<Napi::TypedArray>().ArrayBuffer();
  if (!buffer.IsDetached()) buffer.Detach();
  return info.Env().Undefined();
}

}  // namespace

void InitProcess(Napi::Env env, Napi::Object exports) {
  os::KeepHeapSmall();
  Export<PeakRss>(env, exports, "peakRss");
  Export<LockFile>(env, exports, "lockFile");
  Export<DropBytes>(env, exports, "dropBytes");
}

}  // namespace struprune::addon
