// The handle of a Refit: made by a solver, read here, taken over by a block.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/handles.h"
#include "solver/refit.h"

namespace struprune::addon {

inline Napi::Value ToRefit(Napi::Env env, Refit refit) {
  return MakeHandle<const Refit>(env, std::make_shared<const Refit>(std::move(refit)));
}

// Throws ERR_ARGUMENT for any other value.
inline std::shared_ptr<const Refit> GetRefit(const Napi::Value& value) {
  return GetHandle<const Refit>(value, "refit");
}

}  // namespace struprune::addon
