// The plain objects of lib/engine/native.ts as native descriptions.
#pragma once

#include <napi.h>

#include <array>
#include <optional>

#include "model/block.h"
#include "model/ends.h"
#include "ops/gemm_path.h"

namespace struprune::addon {

// refs: TensorRef of lib/model/architecture.ts; files: array of file handles that its `file`
// indexes.
std::optional<TensorSource> GetTensor(const Napi::Object& refs, std::string_view role,
                                      const Napi::Array& files);
BlockSpec GetBlockSpec(const Napi::Object& object);
std::array<std::optional<TensorSource>, kRoles> GetBlockTensors(const Napi::Object& refs,
                                                                const Napi::Array& files);
EndsSpec GetEndsSpec(const Napi::Object& object, const Napi::Object& refs,
                     const Napi::Array& files);
Dtype GetDtype(const Napi::Value& value);
// {matrices, vectors}
Stored GetStored(const Napi::Value& value);
Role GetRole(const Napi::Value& value);
SiteKind GetSite(const Napi::Value& value);
// "bf16", "bf16x3" or "f32".
AllowedPrecision GetPrecision(const Napi::Value& value);

}  // namespace struprune::addon
