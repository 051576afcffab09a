#pragma once

#include <napi.h>

#include "addon/plain.h"

namespace struprune::addon {

// A copy: nothing of it changes while it is decoded. Throws ERR_ARGUMENT for more levels than a
// description has.
Plain PlainOf(const Napi::Value& value);

}  // namespace struprune::addon
