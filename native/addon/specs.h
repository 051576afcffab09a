// The plain objects of lib/engine/native.ts as native descriptions.
#pragma once

#include <napi.h>

#include <array>
#include <memory>
#include <optional>

#include "model/block.h"
#include "model/ends.h"
#include "ops/gemm_path.h"
#include "tiles/statistics.h"

namespace struprune::addon {

// What decode.h says. refs: TensorRef of lib/model/architecture.ts; files: array of file handles
// that its `file` indexes.
std::optional<TensorSource> GetTensor(const Napi::Object& refs, std::string_view role,
                                      const Napi::Array& files);
// Throws ERR_ARGUMENT for what cannot be a block.
BlockSpec GetBlockSpec(const Napi::Value& value);
// refs: by the names of `spec`. Throws ERR_ARGUMENT for other names.
BlockSources GetBlockTensors(const BlockSpec& spec, const Napi::Object& refs,
                             const Napi::Array& files);
EndsSpec GetEndsSpec(const Napi::Object& object, const Napi::Object& refs,
                     const Napi::Array& files);
Dtype GetDtype(const Napi::Value& value);
// {matrices, vectors, asSource, normOffset, outputScale, finalNormScale,
// decayAsRate}
Stored GetStored(const Napi::Value& value);
// A tensor of the block, by name.
TensorId GetTensorId(const Block& block, const Napi::Value& value);
// The sublayer whose site has that name.
size_t GetSite(const BlockSpec& spec, const Napi::Value& value);
Sublayer GetSublayer(const Block& block, const Napi::Value& site);
// The statistics of an option, null where it is undefined.
std::shared_ptr<Statistics> GetStatistics(const Napi::Object& options, const char* key);
// Of the ranks of a team; one alone where there is none (undefined, null).
Share GetShare(const Napi::Value& value);
// "bf16", "bf16x3" or "f32".
AllowedPrecision GetPrecision(const Napi::Value& value);
// "measuring", "calibrating" or "searching".
Purpose GetPurpose(const Napi::Value& value);

}  // namespace struprune::addon
