// The plain objects of lib/engine/native.ts as native descriptions. Whatever is given, what comes
// out keeps the promises that are stated here, or ERR_ARGUMENT or ERR_CHECKPOINT is thrown
// (native/fuzz/specs_fuzz.cpp).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "addon/plain.h"
#include "model/block.h"
#include "model/ends.h"

namespace struprune::addon {

using Files = std::span<const std::shared_ptr<MappedFile>>;

Dtype DecodeDtype(const Plain& value);
// {matrices, vectors, asSource, normOffset, outputScale, finalNormScale,
// decayAsRate}
Stored DecodeStored(const Plain& value);
// refs: TensorRef of lib/model/architecture.ts by role; nothing where there is none. Rows times
// columns do not overflow and have the tensor's bytes; the file may end before them.
std::optional<TensorSource> DecodeTensor(const Plain& refs, std::string_view role, Files files);
// Its widths are 2^31 at most.
BlockSpec DecodeBlockSpec(const Plain& value);
// refs: by the names of `spec`.
BlockSources DecodeBlockTensors(const BlockSpec& spec, const Plain& refs, Files files);
// Every tensor of `roles` is there, and all of them have the shapes that the widths say.
EndsSpec DecodeEndsSpec(const Plain& object, const Plain& refs, Files files);

}  // namespace struprune::addon
